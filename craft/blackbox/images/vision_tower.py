"""CLIP's vision transformer for many visual prompts; computation that they share runs once.

V prompt tokens without positions are appended to an image's tokens before ``ln_pre`` (Yu et al.,
2023, shallow variant). Until the first block's attention an image's own tokens do not know of them:
embedding, ``ln_pre``, and queries, keys and values of the first block are computed once per image,
those of the prompts once per candidate. The last block runs only the tokens that are read out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch.nn import functional as F

from craft.blackbox.images.vision_weights import VisionWeights
from craft.blackbox.parallel import on_each_core
from craft.blackbox.residual_block import activated

_Block = dict[str, torch.Tensor]


class _Tokens(NamedTuple):
    """Tokens behind ``ln_pre`` and their first queries, keys and values."""

    x: torch.Tensor  # (..., T, W)
    qkv: torch.Tensor  # (..., T, 3 W)


class VisionTower:
    """Unit image features of images with P visual prompts, or with none.

    The tower computes one candidate on one block of at most :attr:`unit` images at a time. The bits
    of a feature thus depend only on its image set, not on other candidates, cores or memory. Images
    are float (n, 3, S, S) in 0..1; ``size`` is S, ``width`` W, ``feature_width`` E, ``mean`` and
    ``std`` are by channel.
    """

    def __init__(
        self,
        weights: VisionWeights,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        search_dtype: torch.dtype | None = None,
    ) -> None:
        """Hold the weights where images are encoded; ``dtype`` is that of matrix products.

        Features are float32 in any. ``search_dtype``, where it differs, is that of
        :attr:`searching`.
        """
        self._searching: VisionTower | None = None
        if search_dtype not in (None, dtype):
            self._searching = VisionTower(weights, device=device, dtype=search_dtype)
        self.device, self._dtype = torch.device(device), dtype
        self._weights = weights = weights.to(device)
        self.width = len(weights.tensors["class_embedding"])
        self.size, self.mean, self.std = weights.size, weights.mean, weights.std
        self.feature_width = weights.tensors["projection"].shape[1]
        self._blocks = [
            {
                name: value if name.startswith("ln_") else value.to(dtype)
                for name, value in weights.block(n).items()
            }
            for n in range(weights.layers)
        ]
        mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (self.mean, self.std))
        self._mean, self._deviation = mean, std
        tokens = len(weights.tensors["positional_embedding"])
        #: Most images of one block: enough rows for matrix products to run near their best rate.
        self.unit = 128 if self.device.type != "cpu" else max(4, min(64, 1_024 // tokens))

    @property
    def searching(self) -> VisionTower:
        """The same tower for a search, in arithmetic that may be faster."""
        return self._searching or self

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return unit features (N, E) of images (N, 3, S, S), without prompts."""
        blocks = images.tensor_split(-(-len(images) // self.unit))
        return torch.cat(on_each_core(lambda block: self._finish(self._prepare(block)), blocks))

    @torch.no_grad()
    def encode_prompted(
        self, blocks: Iterable[torch.Tensor], prompts: torch.Tensor
    ) -> torch.Tensor:
        """Return unit features (P, N, E) for visual prompts (P, V, W).

        ``blocks`` yields the N images (n, 3, S, S), at most :attr:`unit` at a time.
        """
        # One by one: a candidate's bits do not depend on the others.
        added = [self._enter(prompt) for prompt in prompts.to(self.device, torch.float32)]
        candidates = torch.arange(len(added)).split(1)
        features = []
        for block in blocks:
            own = self._prepare(block)
            features.append(
                torch.stack(
                    on_each_core(lambda i, own=own: self._finish(own, added[int(i)]), candidates)
                )
            )
        return torch.cat(features, dim=1)

    # --- one candidate on one block of images ---

    def _prepare(self, images: torch.Tensor) -> _Tokens:
        """Return the tokens of images, T = 1 + patches."""
        tensors = self._weights.tensors
        images = (images.to(self.device, torch.float32) - self._mean) / self._deviation
        kernel = tensors["patch_embedding"]  # (W, 3, p, p)
        patches = F.conv2d(images, kernel, stride=kernel.shape[2:])  # (n, W, g, g)
        first = tensors["class_embedding"].expand(len(images), 1, -1)
        x = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)
        return self._enter(x + tensors["positional_embedding"])

    def _enter(self, x: torch.Tensor) -> _Tokens:
        """Return tokens (..., T, W) as the first block takes them."""
        x = self._layer_norm(x, "ln_pre", self._weights.pre_eps)
        return _Tokens(x, self._project(x, self._blocks[0]))

    def _finish(self, own: _Tokens, added: _Tokens | None = None) -> torch.Tensor:
        """Return unit features (n, E) of images' tokens beside those (V, W) of a prompt."""
        x, qkv = own
        if added is not None:
            x, qkv = (
                torch.cat([each, more.expand(len(each), -1, -1)], dim=1)
                for each, more in zip(own, added, strict=True)
            )
        for n, block in enumerate(self._blocks[:-1]):
            if n > 0:
                qkv = self._project(x, block)
            x = self._add(x, self._attend(*qkv.split(self.width, dim=-1)), block)
        read = slice(0, 1) if self._weights.pooling == "tok" else slice(1, own.x.shape[1])
        x = self._last_block(x, qkv, read)
        if self._weights.norm_after_pooling:
            pooled = self._layer_norm(x.mean(dim=1), "ln_post", self._weights.post_eps)
        else:
            pooled = self._layer_norm(x, "ln_post", self._weights.post_eps).mean(dim=1)
        return F.normalize(pooled @ self._weights.tensors["projection"], dim=-1)

    def _last_block(self, x: torch.Tensor, qkv: torch.Tensor, read: slice) -> torch.Tensor:
        """Return the last block's output (n, R, W) for the tokens that are read out."""
        block, width = self._blocks[-1], self.width
        if len(self._blocks) == 1:
            queries = qkv[:, read, :width]
            keys_values = qkv[..., width:]
        else:
            normed = self._norm(x, block, "ln_1")
            weight, bias = block["qkv.weight"], block["qkv.bias"]
            queries = F.linear(normed[:, read], weight[:width], bias[:width])
            keys_values = F.linear(normed, weight[width:], bias[width:])
        attended = self._attend(queries, *keys_values.split(width, dim=-1))
        return self._add(x[:, read], attended, block)

    # --- layers ---

    def _layer_norm(self, x: torch.Tensor, name: str, eps: float) -> torch.Tensor:
        tensors = self._weights.tensors
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return F.layer_norm(x, (self.width,), weight, bias, eps)

    def _norm(self, x: torch.Tensor, block: _Block, name: str) -> torch.Tensor:
        weight, bias = block[f"{name}.weight"], block[f"{name}.bias"]
        return F.layer_norm(x, (self.width,), weight, bias, self._weights.eps).to(self._dtype)

    def _project(self, x: torch.Tensor, block: _Block) -> torch.Tensor:
        """Return queries, keys and values (..., 3 W) of tokens (..., W)."""
        return F.linear(self._norm(x, block, "ln_1"), block["qkv.weight"], block["qkv.bias"])

    def _attend(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """Return attention of queries (n, R, W) over keys and values (n, M, W): (n, R, W)."""
        q, k, v = (
            part.unflatten(2, (self._weights.heads, -1)).transpose(1, 2)
            for part in (queries, keys, values)
        )
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def _add(self, x: torch.Tensor, attended: torch.Tensor, block: _Block) -> torch.Tensor:
        """Return tokens after a block's attention output and MLP, both on the residual."""
        x = x + F.linear(attended, block["out.weight"], block["out.bias"])
        hidden = F.linear(self._norm(x, block, "ln_2"), block["fc.weight"], block["fc.bias"])
        hidden = activated(hidden, self._weights.activation)
        return x + F.linear(hidden, block["proj.weight"], block["proj.bias"])
