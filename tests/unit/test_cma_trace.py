"""CMA-ES at 512 dimensions against a trace that pycma 4.4.4 left with its own defaults.

The trace was written by ``python -m tests.unit.test_cma_trace`` under that release (3.3.0, of the
paper's time, agrees to 1e-9); releases that ran differently are what the test is for.
"""

from __future__ import annotations

from pathlib import Path

import cma
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from craft.learner import prompt_search
from craft.learner.options import Options

STORED = Path(__file__).with_name("cma_trace.safetensors")
GENERATIONS = 30
SETTINGS = {
    "free": {},
    "bounded": {"bound": 5.0, "projection_std": 0.2, "context_rule": "fresh-mean"},
}
#: What stops or reports a loop of pycma's own, and what only ``ask_and_eval`` and ``fmin`` read.
REPORTING = {
    *("eval_final_mean", "ftarget", "is_feasible", "maxfevals", "maxiter", "signals_filename"),
    *("termination_callback", "timeout", "tolconditioncov", "tolfacupx", "tolflatfitness"),
    *("tolfun", "tolfunhist", "tolfunrel", "tolstagnation", "tolupsigma", "tolx"),
    *("tolxstagnation", "verb_append", "verb_disp", "verb_disp_overwrite"),
    *("verb_filenameprefix", "verb_log_expensive", "verb_plot", "verb_time"),
}


def trace(**options: object) -> dict[str, np.ndarray]:
    """Losses (G, 40), step sizes (G,) and means (G, 512) on an ellipsoid of the offsets."""
    prompts = prompt_search.PromptGenerator(
        4, 512, 0.02, Options.resolve(options), np.random.default_rng(1)
    )
    scales = torch.linspace(1, 3, 2048, dtype=torch.float64)
    losses, sigmas, means = [], [], []
    for _ in range(GENERATIONS):
        offsets = prompts.ask().context.flatten(1).double()  # (40, 2048)
        found = (scales * (offsets - 0.01)).square().sum(dim=1)
        prompts.tell(found)
        prompts.chosen()
        losses.append(found.numpy())
        sigmas.append(prompts.sigma)
        means.append(prompts._es.mean.copy())
    return {
        "losses": np.stack(losses),
        "sigma": np.array(sigmas),
        "mean": np.stack(means, dtype=np.float32),
    }


def test_thirty_generations_are_those_of_the_stored_trace() -> None:
    stored = load_file(STORED)
    for name, options in SETTINGS.items():
        for what, values in trace(**options).items():
            np.testing.assert_allclose(
                values, stored[f"{name}.{what}"], rtol=1e-6, atol=1e-6, err_msg=f"{name} {what}"
            )


def test_every_option_of_pycma_that_decides_a_result_is_named() -> None:
    """A release with a new option fails here: name it, or say that it decides nothing."""
    own = {"popsize", "bounds", "randn", "CMA_diagonal"}
    named = {*prompt_search.CMA_OPTIONS, *own}
    assert named.isdisjoint(REPORTING)
    assert set(cma.CMAOptions()) == named | REPORTING


@pytest.mark.parametrize("losses", [[1.0] * 6, [2.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
def test_equal_losses_rank_in_the_order_of_the_candidates(losses: list[float]) -> None:
    ranked = prompt_search._without_ties(losses)
    expected = sorted(range(6), key=lambda n: (losses[n], n))
    assert sorted(range(6), key=ranked.__getitem__) == expected
    assert len(set(ranked)) == 6
    np.testing.assert_allclose(ranked, losses, rtol=0, atol=1e-14)


if __name__ == "__main__":
    made = {name: trace(**options) for name, options in SETTINGS.items()}
    save_file({f"{name}.{what}": a for name, t in made.items() for what, a in t.items()}, STORED)
