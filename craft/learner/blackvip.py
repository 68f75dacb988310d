"""BlackVIP: pixels that a small decoder adds to each image, learned from losses alone.

Oh et al., CVPR 2023. Needs uploads, and the user's own images with their codes by a frozen public
encoder. SPSA estimates the gradients of the decoder's weights.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple, Self

import torch
from torch.nn import functional as F

from craft.learner.base import Answer, Learner, Progress, query
from craft.learner.batches import BatchQueue
from craft.learner.blackvip_options import BlackVIPOptions
from craft.learner.checkpoint import Draws, Part
from craft.learner.coordinator import Coordinator, Statistics, prompted
from craft.learner.divergence import lower, require_finite
from craft.learner.optimizers import sgd
from craft.learner.own import Own
from craft.learner.spsa import Gains, perturbations, spsa_gradient
from craft.learner.workload import Work
from craft.protocol import UploadBox

#: Images of one upload of a prediction.
_AT_ONCE = 100


class Uploader(NamedTuple):
    """A box that accepts uploads, with the user's own images and codes by image set."""

    box: UploadBox
    own: Mapping[str, Own]
    device: torch.device

    def parts(self, image_set: str) -> Iterator[torch.Tensor]:
        """Yield the row numbers of an image set in parts of one upload each."""
        yield from torch.arange(len(self.own[image_set].pixels)).split(_AT_ONCE)

    def pixels(self, image_set: str, rows: torch.Tensor) -> torch.Tensor:
        """Return the images of ``rows`` (n, 3, S, S) in an image set, in 0..1."""
        return self.own[image_set].images(rows, self.device)

    def scores(self, images: torch.Tensor, purpose: str) -> torch.Tensor:
        """Return logits (n, K) of images (n, 3, S, S) at the box's own context: one query."""
        untouched = torch.zeros(1, self.box.context_length, self.box.context_width)
        with self.box.upload(images, purpose) as name:
            return query(self.box, name, untouched, purpose)


class BlackVIP(Learner):
    """Learns a coordinator h; an image x is uploaded as clip(x + eps h(x)), the text is fixed."""

    prompts = "template"
    Options: ClassVar[type[BlackVIPOptions]] = BlackVIPOptions
    options: BlackVIPOptions
    coordinator_: Coordinator | None = None

    @torch.no_grad()
    def fit(  # type: ignore[override]  # the box of another access level, and the user's own side
        self,
        box: UploadBox,
        labels: torch.Tensor,
        *,
        seed: int,
        own: Mapping[str, Own],
        train_set: str = "train",
        refine_sets: tuple[str, ...] = ("train",),
        progress: Progress | None = None,
    ) -> Self:
        """Learn from ``own`` images of ``refine_sets``, which take turns by epoch, labels (N,).

        A generation is a step: 2 R uploads of one batch, one query each. Raises ValueError if the
        decoder does not match the size of the box's images.
        """
        options, images = self.options, len(labels)
        generator = torch.Generator().manual_seed(seed)
        self.offset_ = torch.zeros(1, box.context_length, box.context_width)
        uploader = Uploader(box, own, labels.device)
        self._fit_gate(uploader, labels, train_set)  # type: ignore[arg-type]
        width = own[refine_sets[0]].codes.shape[1]
        coordinator = self._coordinator(width, box.image_size, generator).to(labels.device).train()
        self.coordinator_ = coordinator
        weights = coordinator.weights.requires_grad_()
        gains = Gains(
            options.gain,
            options.gain_offset,
            options.gain_decay,
            options.step,
            options.step_decay,
        )
        descent = sgd([weights], options.gain, 0.0, options.momentum, nesterov=True)
        batches = BatchQueue(images, options.batch_size, generator)
        parts: dict[str, Part] = {
            "weights": descent,
            "statistics": Statistics(coordinator),
            "batches": batches,
            "draws": Draws(generator),
        }
        for step in self._generations("steps", self._steps(images), **parts):
            rows = batches.next()
            name = refine_sets[batches.epoch % len(refine_sets)]
            pixels, codes = uploader.pixels(name, rows), self._codes(uploader, name, rows)
            targets = labels[rows.to(labels.device)]
            loss = functools.partial(self._loss, uploader, pixels, codes, targets)
            moves = perturbations(options.repeats, len(weights), generator).to(weights.device)
            gradient, level = spsa_gradient(loss, weights, moves, gains.distance(step + 1))
            descent.set_rate(gains.rate(step + 1))
            with torch.enable_grad():
                descent.step(weights @ gradient)  # whose gradient is the estimate
            self.queries_ += 2 * options.repeats
            coordinator.load(weights)
            self._note(queries=self.queries_, loss=level)
            if progress:
                progress(self)
        coordinator.load(weights)  # where a checkpoint was of the last step
        _ = self.history_  # raises for a loss that is not finite
        return self

    def _coordinator(self, width: int, size: int, generator: torch.Generator) -> Coordinator:
        options = self.options
        return Coordinator(width, options.trigger, size, options.stages, generator)

    def _codes(self, uploader: Uploader, image_set: str, rows: torch.Tensor) -> torch.Tensor:
        """Return the codes (n, Z) of images ``rows``, scaled to the option's length."""
        known = uploader.own[image_set].codes
        codes = known[rows.to(known.device)].to(uploader.device)
        length = self.options.code_length
        return codes if length is None else length * F.normalize(codes, dim=1)

    def _loss(
        self,
        uploader: Uploader,
        pixels: torch.Tensor,
        codes: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss () of a batch at the coordinator's ``weights`` (n,), one query."""
        assert self.coordinator_ is not None, "set by fit"
        self.coordinator_.load(weights)
        images = self._prompted(uploader, pixels, codes)
        return F.cross_entropy(uploader.scores(images, "search"), labels)

    def _prompted(
        self, uploader: Uploader, pixels: torch.Tensor, codes: torch.Tensor
    ) -> torch.Tensor:
        """Return pixels (n, 3, S, S) with the prompts of their codes (n, Z)."""
        assert self.coordinator_ is not None, "set by fit and restore"
        prompts = require_finite(self.coordinator_(codes), "visual prompts", self._cause())
        return prompted(pixels, prompts, self.options.prompt_scale, uploader.box.image_std)

    def predict(  # type: ignore[override]  # the box of another access level, the own side
        self, box: UploadBox, image_set: str, *, own: Mapping[str, Own]
    ) -> torch.Tensor:
        """Return logits (N, K) of the user's ``own`` images of a set, a hundred per upload.

        Each upload costs one query, and a second one for the gate. Raises RuntimeError before fit,
        and Diverged.
        """
        trained = self.coordinator_
        device = trained.trigger.device if trained else torch.device("cpu")
        return super().predict(Uploader(box, own, device), image_set)  # type: ignore[arg-type]

    def _answer(  # type: ignore[override]  # the user's side beside the box
        self, box: Uploader, image_set: str
    ) -> Answer:
        """Return the scores (N, K) of the prompted images."""
        assert self.coordinator_ is not None, "set by fit and restore"
        training = self.coordinator_.training
        self.coordinator_.eval()
        scores = []
        for rows in box.parts(image_set):
            codes = self._codes(box, image_set, rows)
            images = self._prompted(box, box.pixels(image_set, rows), codes)
            scores.append(box.scores(images, "evaluate"))
        self.coordinator_.train(training)
        return Answer(torch.cat(scores))

    def _own_scores(  # type: ignore[override]  # the user's side beside the box
        self, box: Uploader, image_set: str, purpose: str
    ) -> torch.Tensor:
        """Return the box's scores (N, K) of the unchanged images."""
        parts = (box.pixels(image_set, rows) for rows in box.parts(image_set))
        return torch.cat([box.scores(images, purpose) for images in parts])

    def _cause(self) -> str:
        return lower("the visual prompt", self.options, "gain", "step", "prompt_scale")

    def _steps(self, images: int) -> int:
        options = self.options
        return options.steps or options.epochs * max(1, images // options.batch_size)

    def budget(self, images: int, classes: int) -> int:
        """Return the queries of all steps."""
        return self.work(images, classes).search

    def work(self, images: int, classes: int) -> Work:
        """Return 2 R queries a step; see :meth:`Learner.work`."""
        del classes
        steps, gates = self._steps(images), int(self.gates)
        shots = -(-images // _AT_ONCE)
        search = 2 * self.options.repeats * steps
        batch = min(images, self.options.batch_size)
        return Work(
            steps,
            search=search,
            refine=gates * shots,
            images=search * batch + gates * images,
            contexts=1,  # the untouched one, which a box has at hand after the first query
            predict=1 + gates,
            predict_images=1 + gates,
            at_once=_AT_ONCE,
        )

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that make up the fitted learner, for safetensors."""
        if self.coordinator_ is None:
            raise RuntimeError("BlackVIP.state was called before fit")
        # Of their own: the parameters are parts of the one vector that was searched.
        kept = {f"coordinator.{n}": v.clone() for n, v in self.coordinator_.state_dict().items()}
        shape = torch.tensor([self.coordinator_.code, self.coordinator_.size])
        return super().state() | kept | {"code and image": shape}

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        super().restore(state)
        if "code and image" not in state:
            raise ValueError(f"state: expected a tensor 'code and image', got {[*state]}")
        code, size = state["code and image"].tolist()
        self.coordinator_ = self._coordinator(code, size, torch.Generator())
        prefix = "coordinator."
        kept = {n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)}
        self.coordinator_.load_state_dict(kept)
        return self
