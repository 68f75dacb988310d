"""Options of the white-box learners; needs no torch, so that a configuration is checked with it."""

from __future__ import annotations

from dataclasses import dataclass

from craft.learner.declaration import option
from craft.learner.options import Options


@dataclass(frozen=True)
class CoOpOptions(Options):
    """Options of CoOp; the defaults are those of its authors' scripts."""

    access = "weights"
    mode: str = option("paper", "the released code has no CoOp", accepted=("paper",), compare=False)
    # CLIP has 77 positions, of which start, end, the stop and a name of one token need four.
    context_tokens: int = option(16, "M, context vectors shared by all classes", least=1, most=73)
    init_std: float = option(
        0.02, "standard deviation of the initial context vectors", least=0, most=100
    )
    epochs: int | None = option(
        None, "passes over the training images; null is CoOp's by shots", least=1, most=100_000
    )
    crops: int = option(
        0,
        "CoOp's crops of each image (8 % of its area or more, mirrored half of the time), which "
        "epochs take in turn: as many as epochs are a new one in each; 0 is the images as they are",
        least=0,
        most=1000,
    )
    optimizer: str = option("sgd", "optimiser of the context", accepted=("sgd", "adamw"))
    learning_rate: float = option(0.002, "base learning rate of the context", above=0, most=100)
    momentum: float = option(0.9, "momentum of SGD", least=0, most=1)
    weight_decay: float = option(5e-4, "weight decay of the context", least=0, most=100)
    batch_size: int = option(
        32, "images in a step; the last incomplete batch is dropped", least=1, most=1_000_000
    )
    warmup_rate: float = option(
        1e-5, "constant learning rate of the first epoch", least=0, most=100
    )

    @property
    def refine_copies(self) -> tuple[str, ...]:
        """Crops that epochs take in turn, else the views that every learner may use."""
        crops = tuple(f"crop-{crop}" for crop in range(1, self.crops + 1))
        return crops or super().refine_copies
