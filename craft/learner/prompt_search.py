"""Prompt generation: CMA-ES over a random subspace of the context's embedding (Section 3.1)."""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch

from craft.learner.divergence import BOX, require_finite
from craft.learner.options import Options
from craft.protocol import BlackBox


@contextlib.contextmanager
def _unimportable(*modules: str) -> Iterator[None]:
    """Hide optional modules while another one is imported."""
    hidden = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(dict.fromkeys(modules))  # type: ignore[arg-type]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, module in hidden.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


# cma takes what it finds for plots and rank statistics that nobody asks for here: 1.9 s instead
# of 0.3 s at every start of a fit.
with _unimportable("matplotlib", "matplotlib.pyplot", "scipy.stats"):
    import cma


class PromptGenerator:
    """CMA-ES on z in R^d with context offset A z, in ask/tell form.

    A (L*D, d) is drawn once from ``rng``, normal or uniform, and frozen; ``rng`` also feeds CMA-ES,
    so that equal generators give equal runs and no global state is touched.
    """

    def __init__(
        self,
        context_length: int,
        context_width: int,
        embedding_std: float,
        options: Options,
        rng: np.random.Generator,
    ) -> None:
        self._shape = (context_length, context_width)
        self._options = options
        d = options.intrinsic_dim
        std = options.projection_std
        if std is None:
            std = embedding_std / (options.sigma * math.sqrt(d))
        shape = (context_length * context_width, d)
        if options.projection == "uniform":
            unit = rng.uniform(-math.sqrt(3), math.sqrt(3), shape)  # standard deviation 1
        else:
            unit = rng.standard_normal(shape)
        self._projection = (std * unit).astype(np.float32)
        bounds = [None, None] if options.bound is None else [-options.bound, options.bound]
        settings: dict[str, object] = {
            "popsize": options.population,
            "bounds": bounds,
            "randn": lambda *shape: rng.standard_normal(shape),
            "seed": np.nan,  # leave numpy's global generator alone
            "verbose": -9,
            "verb_log": 0,
        }
        self._es = cma.CMAEvolutionStrategy(np.zeros(d), options.sigma, settings)
        self._asked: list[np.ndarray] = []
        self._fresh: np.ndarray | None = None
        self._told: list[list[float]] = []  # losses of every population so far
        self._drew: list[bool] = []  # whether a fresh population was drawn after each

    def _offsets(self, z: np.ndarray) -> torch.Tensor:
        """(P, d) -> (P, L, D) float32."""
        offsets = np.asarray(z, dtype=np.float32) @ self._projection.T
        return torch.from_numpy(offsets.reshape(-1, *self._shape))

    @property
    def generation(self) -> int:
        """Number of the generation to be told next, from 1."""
        return len(self._told) + 1

    def ask(self) -> torch.Tensor:
        """A population of context offsets, (P, L, D)."""
        self._asked = self._es.ask()
        return self._offsets(np.stack(self._asked))

    def tell(self, losses: torch.Tensor) -> None:
        """Losses (P,) of the population last asked for."""
        self._tell(losses.double().tolist())

    def _tell(self, losses: list[float]) -> None:
        self._es.tell(self._asked, losses)
        self._told.append(losses)
        self._drew.append(False)
        self._fresh = None

    def context(self) -> torch.Tensor:
        """The context offset to use now, (1, L, D), by the option ``context_rule``."""
        rule = self._options.context_rule
        if rule == "best":
            z = self._es.best.x
        elif rule == "fresh-mean":
            z = self._draw() if self._fresh is None else self._fresh
        else:
            z = self._es.result.xfavorite
        return self._offsets(np.asarray(z)[None])

    def _draw(self) -> np.ndarray:
        self._fresh = np.mean(self._es.ask(), axis=0)
        if self._drew:
            self._drew[-1] = True
        return self._fresh

    def state(self) -> dict[str, torch.Tensor]:
        """What CMA-ES was told, (G, P): the rest of it follows from that and from its generator."""
        shape = (len(self._told), self._options.population)
        told = torch.tensor(self._told, dtype=torch.float64).reshape(shape)
        return {"told": told, "drew": torch.tensor(self._drew, dtype=torch.bool)}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Tell a new generator what another one was told: it is then that one, to the bit."""
        for losses, drew in zip(state["told"].tolist(), state["drew"].tolist(), strict=True):
            self._asked = self._es.ask()
            self._tell(losses)
            if drew:
                self._draw()

    @property
    def sigma(self) -> float:
        """Current step size."""
        return float(self._es.sigma)


def search_generation(
    prompts: PromptGenerator,
    box: BlackBox,
    image_set: str,
    fitness: Callable[[torch.Tensor], torch.Tensor],
    cause: str = BOX,
) -> dict[str, float]:
    """Ask, score and tell one population; what a learner's history says of it (all but queries).

    ``fitness`` is as in :func:`score_candidates`, ``cause`` what a loss that is not finite comes
    from. Raises Diverged, and what the box raises.
    """
    losses = score_candidates(box, image_set, prompts.ask(), fitness)
    about = f"losses of candidates on {image_set!r} in generation {prompts.generation}"
    prompts.tell(require_finite(losses, about, cause))
    return {
        "search_loss_best": losses.min().item(),
        "search_loss_mean": losses.mean().item(),
        "sigma": prompts.sigma,
    }


def score_candidates(
    box: BlackBox,
    image_set: str,
    offsets: torch.Tensor,
    fitness: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Losses (P,) of P contexts, block by block: ``fitness`` maps logits (B, N, K) to (B,).

    They are on the CPU, where a search reads them: the one wait for a GPU in a generation.
    """
    with torch.no_grad():
        losses = [fitness(logits) for logits in box.predict(image_set, offsets, "search")]
    return torch.cat(losses).cpu()
