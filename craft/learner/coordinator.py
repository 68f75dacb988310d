"""BlackVIP's coordinator: from an image's code to an additive prompt of its size.

Oh et al., CVPR 2023. At the paper's size: code 768, trigger 800, 9,920 parameters, 224 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils import skip_init


class Coordinator(nn.Module):
    """A decoder of [code; trigger] to images (n, 3, S, S), without a bound on its output.

    The two are reshaped, channels first, to a square map. Each of ``channels`` is what a stage
    that doubles the map's side ends with: a 2 x 2 transposed convolution with a group for each
    channel (to twice as many in the first stage, to as many in others), a 1 x 1 one, batch norm and
    GELU. A last 2 x 2 one doubles the side again and gives three colours.
    """

    def __init__(
        self,
        code: int,
        trigger: int,
        size: int,
        channels: Sequence[int],
        generator: torch.Generator,
    ) -> None:
        """Draw weights by PyTorch's defaults and the trigger from U(0, 0.1), by ``generator``.

        ``code`` and ``trigger`` are widths, ``size`` is S. Raises ValueError where the stages do
        not lead to S, or code and trigger fill no whole map.
        """
        super().__init__()
        self.code, self.size = code, size
        doubled = 2 ** (len(channels) + 1)
        side = size // doubled
        if size % doubled or not side:
            raise ValueError(
                f"channels: expected stages that double a whole number of pixels {len(channels)} "
                f"times and once more to {size}, got {len(channels)} stages"
            )
        if (code + trigger) % side**2:
            raise ValueError(
                f"trigger: expected code + trigger to be a multiple of {side**2} ({side} x {side} "
                f"pixels), got {code} + {trigger}"
            )
        inner = (code + trigger) // side**2
        self._map = (inner, side, side)
        self.trigger = nn.Parameter(torch.rand(trigger, generator=generator) * 0.1)
        stages: list[nn.Module] = []
        for number, outer in enumerate(channels):
            middle = inner if number else 2 * inner
            stages += [
                _transposed(inner, middle, 2, stride=2, groups=inner),
                _transposed(middle, outer, 1, bias=False),
                nn.BatchNorm2d(outer, eps=1e-5, momentum=0.1),
                nn.GELU(approximate="none"),
            ]
            inner = outer
        stages.append(_transposed(inner, 3, 2, stride=2, bias=False))
        self.decoder = nn.Sequential(*stages)
        for module in self.decoder:
            if isinstance(module, nn.ConvTranspose2d):
                _default_weights(module, generator)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Return prompts (n, 3, S, S) for codes (n, Z)."""
        trigger = self.trigger.expand(len(codes), -1)
        return self.decoder(torch.cat([codes, trigger], dim=1).unflatten(1, self._map))

    @property
    def weights(self) -> torch.Tensor:
        """Return all trained weights as one vector (n,)."""
        return nn.utils.parameters_to_vector(self.parameters()).detach()

    def load(self, weights: torch.Tensor) -> None:
        """Take all trained weights from one vector (n,)."""
        nn.utils.vector_to_parameters(weights, self.parameters())


class Statistics:
    """The running statistics of a coordinator's batch norms, as a part of a fit."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    def state(self) -> dict[str, torch.Tensor]:
        """Return means, variances and numbers of batches by name."""
        return dict(self._coordinator.named_buffers())

    @torch.no_grad()
    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a :meth:`state`."""
        for name, buffer in self._coordinator.named_buffers():
            buffer.copy_(state[name])


def _transposed(*shape: int, **settings: Any) -> nn.ConvTranspose2d:
    """Return a layer without weights yet: PyTorch would draw them from the global generator."""
    return skip_init(nn.ConvTranspose2d, *shape, **settings)


def _default_weights(layer: nn.ConvTranspose2d, generator: torch.Generator) -> None:
    """Draw a layer's weights as PyTorch does by default, from a generator of one's own."""
    fan_in = layer.weight.shape[1] * math.prod(layer.kernel_size)
    bound = 1 / math.sqrt(fan_in)
    with torch.no_grad():
        for tensor in (layer.weight, layer.bias):
            if tensor is not None:
                tensor.copy_(torch.empty_like(tensor).uniform_(-bound, bound, generator=generator))


def prompted(
    pixels: torch.Tensor, prompts: torch.Tensor, scale: float, std: Sequence[float]
) -> torch.Tensor:
    """Return pixels (n, 3, S, S) in 0..1 plus ``scale`` times prompts, kept within 0..1.

    A prompt's unit is one standard deviation ``std`` of a colour, as in normalised images.
    """
    unit = torch.tensor(std, dtype=pixels.dtype, device=pixels.device).view(1, -1, 1, 1)
    return (pixels + scale * unit * prompts).clamp(0, 1)
