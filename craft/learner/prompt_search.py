"""Prompt generation: CMA-ES over a random subspace of the context's embedding (Section 3.1)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import cma
import numpy as np
import torch

from craft.learner.divergence import BOX, require_finite
from craft.learner.options import Options
from craft.learner.prompts import Prompts, ask, visual_width
from craft.protocol import BlackBox

#: Every option of pycma that decides a result, with its value at the paper's 512 dimensions and 40
#: candidates in the releases of that time, so that no later default changes a run. The options
#: popsize, bounds, randn and CMA_diagonal are set for each run. All others stop or report pycma's
#: own loop, which is not used here; a test lists them.
CMA_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        # From 300 dimensions on, pycma 4.5 takes two-point adaptation unless told otherwise.
        "AdaptSigma": cma.sigma_adaptation.CMAAdaptSigmaCSA,
        "CSA_clip_length_value": None,
        "CSA_damp_mueff_exponent": None,
        "CSA_dampfac": 1,
        "CSA_disregard_length": False,
        "CSA_invariant_path": False,
        "CSA_squared": False,
        "TPA_dampfac": 1,
        "stall_sigma_change_on_divergence_iterations": False,
        "mindx": 0,
        "minstd": 0,
        "maxstd": None,
        # Recombination and the covariance matrix.
        "CMA_mu": None,  # half of the population
        "CMA_recombination_weights": None,
        "CMA_cmean": 1,
        "CMA_elitist": False,
        "CMA_on": 1,
        "CMA_rankone": 1.0,
        "CMA_rankmu": 1.0,
        "CMA_active": True,
        "CMA_active_injected": 0,
        "CMA_const_trace": False,
        "CMA_diagonal_decoding": 0,
        "CMA_dampsvec_fac": np.inf,
        "CMA_dampsvec_fade": 0.1,
        "CMA_stds": None,
        "CMA_teststds": None,
        "CMA_eigenmethod": np.linalg.eigh,
        "conditioncov_alleviate": [1e8, 1e12],
        "updatecovwait": None,
        # Sampling.
        "CMA_sampler": None,
        "CMA_sampler_options": {},
        "CMA_mirrors": 0,
        "CMA_mirrormethod": 2,
        "CMA_injections_threshold_keep_len": 1,
        "mean_shift_line_samples": False,
        "pc_line_samples": False,
        "popsize_factor": 1,
        "seed": np.nan,  # leave numpy's global generator alone
        # The space that is searched.
        "BoundaryHandler": cma.BoundTransform,
        "maxstd_boundrange": 1 / 3,
        "fixed_variables": None,
        "integer_variables": [],
        "scaling_of_variables": None,
        "typical_x": None,
        "transformation": None,
        "vv": {},
        # Silence.
        "verbose": -9,
        "verb_log": 0,
    }
)


class PromptGenerator:
    """CMA-ES on z in R^d with context offset A z, in ask/tell form.

    A (L*D, d) is drawn once from ``rng``, normal or uniform, and frozen. CMA-ES draws from ``rng``
    too, so equal generators give equal runs and global random state is not used.

    With the option ``visual_tokens`` z is [z_L; z_V]: the visual prompt A_V z_V is of tokens of
    ``visual_width`` W, and A_V (V*W, d_V) is normal with entries of standard deviation
    1 / (sigma sqrt(d_V)), so that tokens start at 1. A tower that normalises its tokens first takes
    from them their directions alone.
    """

    def __init__(
        self,
        context_length: int,
        context_width: int,
        embedding_std: float,
        options: Options,
        rng: np.random.Generator,
        visual_width: int = 0,
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
        self._visual_shape = (options.visual_tokens, visual_width)
        d_visual = options.visual_dim if options.visual_tokens else 0
        visual = rng.standard_normal((options.visual_tokens * visual_width, d_visual))
        scale = 1 / (options.sigma * math.sqrt(options.visual_dim))
        self._visual_projection = (scale * visual).astype(np.float32)
        bounds = [None, None] if options.bound is None else [-options.bound, options.bound]
        settings: dict[str, object] = {
            **CMA_OPTIONS,
            "popsize": options.population,
            "bounds": bounds,
            "CMA_diagonal": True if options.covariance == "diagonal" else 0,  # in every generation
            "randn": lambda *shape: rng.standard_normal(shape),
        }
        self._es = cma.CMAEvolutionStrategy(np.zeros(d + d_visual), options.sigma, settings)
        self._asked: list[np.ndarray] = []
        self._ahead: Future[list[np.ndarray]] | None = None
        self._fresh: np.ndarray | None = None
        self._told: list[list[float]] = []  # losses of every population so far
        self._drew: list[bool] = []  # whether a fresh population was drawn after each

    def _prompts(self, z: np.ndarray) -> Prompts:
        """Return prompts, float32, for z (P, d + d_V)."""
        z = np.asarray(z, dtype=np.float32)
        d = self._options.intrinsic_dim
        offsets = z[:, :d] @ self._projection.T
        context = torch.from_numpy(offsets.reshape(-1, *self._shape))
        if not self._options.visual_tokens:
            return Prompts(context)
        tokens = z[:, d:] @ self._visual_projection.T
        return Prompts(context, torch.from_numpy(tokens.reshape(-1, *self._visual_shape)))

    @property
    def generation(self) -> int:
        """Number of the generation to be told next, from 1."""
        return len(self._told) + 1

    def ask(self) -> Prompts:
        """Return a population of P prompts."""
        self._asked = self._es.ask() if self._ahead is None else self._ahead.result()
        self._ahead = None
        return self._prompts(np.stack(self._asked))

    def ask_ahead(self) -> None:
        """Draw the population that :meth:`ask` returns next in a thread of its own.

        For callers whose processor is otherwise idle, while a GPU computes. Only :meth:`ask` and
        :meth:`state` may follow, because the context must be settled before.
        """
        pool = ThreadPoolExecutor(1, "cma-es")
        self._ahead = pool.submit(self._es.ask)
        pool.shutdown(wait=False)

    def tell(self, losses: torch.Tensor) -> None:
        """Update the search by the losses (P,) of the population last asked for."""
        self._tell(losses.double().tolist())

    def _tell(self, losses: list[float]) -> None:
        self._es.tell(self._asked, _without_ties(losses))
        self._told.append(losses)
        self._drew.append(False)
        self._fresh = None

    def chosen(self) -> Prompts:
        """Return the one prompt to use now, by the option ``context_rule``."""
        rule = self._options.context_rule
        if rule == "best":
            z = self._es.best.x
        elif rule == "fresh-mean":
            z = self._draw() if self._fresh is None else self._fresh
        else:
            z = self._es.result.xfavorite
        return self._prompts(np.asarray(z)[None])

    def _draw(self) -> np.ndarray:
        self._fresh = np.mean(self._es.ask(), axis=0)
        if self._drew:
            self._drew[-1] = True
        return self._fresh

    def state(self) -> dict[str, torch.Tensor]:
        """Return all losses so far, (G, P); with the generator, they determine the search."""
        shape = (len(self._told), self._options.population)
        told = torch.tensor(self._told, dtype=torch.float64).reshape(shape)
        return {"told": told, "drew": torch.tensor(self._drew, dtype=torch.bool)}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Replay a :meth:`state` on a new search, which then equals the saved one to the bit."""
        for losses, drew in zip(state["told"].tolist(), state["drew"].tolist(), strict=True):
            self._asked = self._es.ask()
            self._tell(losses)
            if drew:
                self._draw()

    @property
    def sigma(self) -> float:
        """Current step size."""
        return float(self._es.sigma)


def _without_ties(losses: list[float]) -> list[float]:
    """Return losses in the same order, equal ones a last bit apart, the first candidate ahead.

    CMA-ES uses ranks alone, and numpy's default sort orders ties by the processor's instructions.
    """
    distinct = list(losses)
    order = sorted(range(len(losses)), key=losses.__getitem__)  # stable
    for before, after in itertools.pairwise(order):
        if distinct[after] <= distinct[before]:
            distinct[after] = math.nextafter(distinct[before], math.inf)
    return distinct


def generator_for(box: BlackBox, options: Options, rng: np.random.Generator) -> PromptGenerator:
    """Return a search over the prompts that a box takes; raises ValueError for too many tokens."""
    return PromptGenerator(
        box.context_length,
        box.context_width,
        box.embedding_std,
        options,
        rng,
        visual_width(box, options.visual_tokens),
    )


def search_generation(
    prompts: PromptGenerator,
    box: BlackBox,
    image_set: str,
    fitness: Callable[[torch.Tensor], torch.Tensor],
    cause: str = BOX,
) -> dict[str, float]:
    """Ask, score and tell one population; return its row of a history (all but queries).

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
    prompts: Prompts,
    fitness: Callable[[torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Return losses (P,) of P prompts, by blocks: ``fitness`` maps logits (B, N, K) to (B,).

    They are on the CPU, where a search reads them; a generation waits for a GPU only here.
    """
    with torch.no_grad():
        losses = [fitness(logits) for logits in ask(box, image_set, prompts, "search")]
    return torch.cat(losses).cpu()
