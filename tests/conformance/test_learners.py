"""Every black-box learner keeps the same promises."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import pkgutil
from copy import deepcopy

import pytest
import torch

import craft.learner
from craft.learner.base import Learner
from craft.learner.collaborative import Collaborative
from craft.learner.refine_only import RefineOnly
from craft.learner.sequential import Sequential
from craft.protocol import BlackBox, BudgetExceeded, FeatureBox, UploadBox

from .toy import TOYS, ToyBox, ToyFeatureBox, ToyUploadBox, own_side

SMALL = {"budget": 400, "population": 20, "intrinsic_dim": 6, "hidden": 16, "passes": 2}
#: What a learner needs besides to be quick.
QUICK = {
    "LFA": {"iterations": 9, "shrinkage_values": 3},
    "CBBT": {"epochs": 8, "directions": 4, "batch_size": 20},
    "Probe": {"queries": 3},
    "BlackVIP": {"steps": 9, "repeats": 2, "batch_size": 30, "trigger": 4, "channels": "6,4"},
}


def small(cls: type[Learner], options: dict) -> Learner:
    return cls(**SMALL, **QUICK.get(cls.__name__, {}), **options)


def toy(cls: type[Learner], **settings) -> ToyBox | ToyFeatureBox | ToyUploadBox:
    return TOYS[cls.access](**settings)


def learners() -> list[type[Learner]]:
    """Every concrete learner in the package, found and not listed."""
    found = set()
    for info in pkgutil.iter_modules(craft.learner.__path__):
        module = importlib.import_module(f"craft.learner.{info.name}")
        for _, value in inspect.getmembers(module, inspect.isclass):
            if issubclass(value, Learner) and not inspect.isabstract(value):
                found.add(value)
    return sorted(found, key=lambda cls: cls.__name__)


#: Options of Collaborative that together take every branch of it, by name.
COLLABORATIVE = {
    "released": {"mode": "released"},
    "convex": {"solver": "convex"},
    "independent": {"lambda1": 0.0, "lambda2": 0.0},
    "all_changed": {
        "head": "linear",
        "residual": False,
        "search_loss": "refined",
        "context_rule": "best",
        "kl_search": "black-box||refined",
        "kl_refine": "refined||black-box",
        "layers": 3,
        "lambda2_share": 0.25,
        "bound": 5.0,
        "projection_std": 0.2,
    },
}
VARIANTS = [pytest.param(cls, {}, id=cls.__name__) for cls in learners()] + [
    pytest.param(Collaborative, options, id=f"Collaborative-{name}")
    for name, options in COLLABORATIVE.items()
]
VARIANTS += [
    pytest.param(RefineOnly, {"solver": "convex", "gate": True}, id="RefineOnly-convex-gated"),
    pytest.param(
        Sequential, {"solver": "convex"}, id="Sequential-convex", marks=pytest.mark.exhaustive
    ),
]
#: The gate of every learner that tunes something, Probe's being on anyway.
GATED = [
    pytest.param(
        cls,
        {"gate": True},
        id=f"{cls.__name__}-gated",
        marks=[] if cls.__name__ in ("Collaborative", "LFA", "CBBT") else pytest.mark.exhaustive,
    )
    for cls in learners()
    if not cls().gates and cls(gate=True).gates
]
VARIANTS += GATED


def fit(learner: Learner, box: ToyBox, **settings) -> Learner:
    return learner.fit(box, box.labels["train"], **{"seed": 1} | settings | own_side(learner, box))


def predict(learner: Learner, box: ToyBox) -> torch.Tensor:
    return learner.predict(box, "test", **own_side(learner, box))


def own_scores(learner: Learner, box: ToyBox) -> torch.Tensor:
    if learner.options.own_codes:
        return next(box.predict("test", torch.zeros(1, 1, 4)))[0]
    return learner._own_scores(box, "test", "evaluate")


def fitted(cls: type[Learner], options: dict, seed: int = 1, box: ToyBox | None = None) -> tuple:
    box, learner = box or toy(cls), small(cls, options)
    return fit(learner, box, seed=seed), box


@functools.cache
def _fitted_once(cls: type[Learner], options: tuple) -> tuple:
    return fitted(cls, dict(options))


def fitted_once(cls: type[Learner], options: dict) -> tuple:
    """As ``fitted`` with its seed, but one fit for all tests: for those that change neither."""
    return _fitted_once(cls, tuple(options.items()))


def test_the_package_holds_the_papers_learners() -> None:
    names = {cls.__name__ for cls in learners()}
    assert {"Collaborative", "PromptOnly", "RefineOnly", "Sequential", "ZeroShot"} <= names
    assert {"LFA", "CBBT", "BlackVIP"} <= names


def test_the_toy_box_keeps_the_protocol() -> None:
    assert isinstance(ToyBox(), BlackBox)
    assert isinstance(ToyUploadBox(), UploadBox) and not isinstance(ToyBox(), UploadBox)
    assert isinstance(ToyFeatureBox(), FeatureBox)
    assert not isinstance(ToyFeatureBox(), BlackBox)


@pytest.mark.parametrize(("cls", "options"), VARIANTS)
class TestEveryLearner:
    def test_fit_returns_self_and_predicts_logits(self, cls, options) -> None:
        box = toy(cls)
        learner = small(cls, options)
        assert fit(learner, box) is learner
        logits = predict(learner, box)
        assert logits.shape == (box.image_sets["test"], len(box.class_names))
        assert torch.isfinite(logits).all()
        assert not logits.requires_grad

    def test_predict_before_fit_says_so(self, cls, options) -> None:
        with pytest.raises(RuntimeError, match="before fit"):
            predict(small(cls, options), toy(cls))

    def test_same_seed_same_bits(self, cls, options) -> None:
        torch.manual_seed(5)
        first, _ = fitted_once(cls, options)
        torch.manual_seed(6)
        second, box = fitted(cls, options)
        assert torch.equal(predict(first, toy(cls)), predict(second, box))
        assert first.history_ == second.history_

    def test_leaves_global_generators_alone(self, cls, options) -> None:
        import random

        import numpy as np

        before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())
        fitted(cls, options)
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1] == np.random.get_state()[1].tolist()
        assert before[2] == random.getstate()

    def test_another_seed_another_run(self, cls, options) -> None:
        if cls.__name__ == "ZeroShot" or (cls is RefineOnly and options):
            pytest.skip("it draws nothing")
        first, _ = fitted_once(cls, options)
        second, box = fitted(cls, options, seed=2)
        assert not torch.equal(predict(first, box), predict(second, box))

    def test_never_trains_on_test_images(self, cls, options) -> None:
        _, box = fitted_once(cls, options)
        assert all(image_set == "train" for image_set, _, _ in box.asked)
        assert box.meter.counts["evaluate"] == 0

    def test_search_queries_are_those_it_reports(self, cls, options) -> None:
        learner, box = fitted_once(cls, options)
        assert learner.queries_ == box.meter.counts["search"]
        assert learner.queries_ in (0, learner.work(80, 4).search)

    def test_stops_at_the_boxs_budget(self, cls, options) -> None:
        learner, _ = fitted_once(cls, options)
        if learner.queries_:
            with pytest.raises(BudgetExceeded):
                fitted(cls, options, box=toy(cls, budget=15))

    def test_state_round_trip(self, cls, options) -> None:
        learner, _ = fitted_once(cls, options)
        box, copy = toy(cls), small(cls, options).restore(learner.state())
        assert torch.equal(predict(learner, box), predict(copy, box))

    def test_foreign_state_is_refused(self, cls, options) -> None:
        with pytest.raises(ValueError, match=r"expected .(offset|refiner)"):
            small(cls, options).restore({"weights": torch.zeros(3)})

    def test_a_prediction_takes_the_queries_that_are_stated(self, cls, options) -> None:
        learner, _ = fitted_once(cls, options)
        box = toy(cls)
        predict(learner, box)
        assert box.meter.counts["evaluate"] == learner.work(80, 4).predict == box.meter.total

    def test_unknown_option_is_refused_by_name(self, cls, options) -> None:
        with pytest.raises(ValueError, match="budgett"):
            cls(**options, budgett=3)

    def test_broken_scores_are_refused(self, cls, options) -> None:
        class Broken(TOYS[cls.access]):
            def predict(self, *args, **kwargs):
                for block in super().predict(*args, **kwargs):
                    yield block * float("nan")

            def text_features(self, *args, **kwargs):
                for block in super().text_features(*args, **kwargs):
                    yield block * float("nan")

        with pytest.raises(FloatingPointError, match="not finite"):
            predict(fitted(cls, options, box=Broken())[0], Broken())

    def test_goes_on_from_a_checkpoint_to_the_same_bits(self, cls, options) -> None:
        class Stop(Exception):
            pass

        if cls.__name__ == "ZeroShot":
            pytest.skip("zero-shot has no generations")
        whole, box = fitted_once(cls, options)
        for generations in (1, 7, len(whole.history_)):
            kept = []

            def stop(learner: Learner, after: int = generations, kept: list = kept) -> None:
                if len(learner.history_) == after:
                    kept.append(deepcopy(learner.checkpoint()))
                    raise Stop

            first, second = toy(cls), toy(cls)
            with contextlib.suppress(Stop):
                fit(small(cls, options), first, progress=stop)
            if not kept:
                assert generations > len(whole.history_)
                continue
            second.meter.counts |= first.meter.counts
            resumed = fit(small(cls, options).resume(kept[0]), second)
            assert resumed.history_ == whole.history_
            assert resumed.state().keys() == whole.state().keys()
            for name, value in whole.state().items():
                assert torch.equal(value, resumed.state()[name]), (name, generations)
            assert second.meter.counts == box.meter.counts  # no query was made twice

    def test_progress_is_called(self, cls, options) -> None:
        box, seen = toy(cls), []
        fit(small(cls, options), box, progress=lambda learner: seen.append(learner.queries_))
        assert seen == sorted(seen)
        assert seen

    def test_its_work_is_known_beforehand(self, cls, options) -> None:
        learner, box = fitted_once(cls, options)
        work = small(cls, options).work(len(box.labels["train"]), len(box.class_names))
        assert (work.search, work.refine) == (
            box.meter.counts["search"],
            box.meter.counts["refine"],
        )
        assert work.generations == len(learner.history_) == learner.generations_
        # LFA refines a map of features, which is no pass over scores.
        refined = [r for r in learner.history_ if "refine_loss" in r and cls.access != "features"]
        assert work.passes == learner.options.passes * len(refined)
        assert work.scored in (0, work.search)


@pytest.mark.parametrize(("cls", "options"), GATED)
class TestEveryGatedLearner:
    def test_images_like_the_shots_get_its_answer_and_far_ones_the_boxs(self, cls, options) -> None:
        """Answers lie between the learner's and the box's own, by the gate's weight alone."""
        learner, _ = fitted_once(cls, options)
        plain, _ = fitted(cls, {})
        own = own_scores(learner, toy(cls)).double()
        tuned = predict(plain, toy(cls)).double().softmax(dim=1)
        weight = learner.gate_.weights(own, tuned.argmax(dim=1))[:, None]
        assert weight.min() < 0.9 < weight.max()
        expected = weight * tuned + (1 - weight) * (learner.gate_.tau * own).softmax(dim=1)
        answer = predict(learner, toy(cls)).double().exp()
        torch.testing.assert_close(answer, expected, atol=1e-5, rtol=0)

    def test_a_state_without_its_gate_is_refused(self, cls, options) -> None:
        learner, _ = fitted_once(cls, options)
        state = {name: v for name, v in learner.state().items() if not name.startswith("gate.")}
        with pytest.raises(ValueError, match="gate"):
            small(cls, options).restore(state)


def test_a_learner_that_fits_no_gate_says_so() -> None:
    class Forgets(Collaborative):
        def _fit_gate(self, *_) -> None:
            pass

    learner, box = fitted(Forgets, {"gate": True})
    with pytest.raises(RuntimeError, match="gate"):
        learner.predict(box, "test")


def test_prompt_search_nears_the_known_optimum() -> None:
    from craft.learner.prompt_only import PromptOnly

    options = {"budget": 4000, "population": 20, "intrinsic_dim": 6, "projection_std": 0.3}
    box = ToyBox()
    learner = PromptOnly(**options).fit(box, box.labels["train"], seed=3)
    start = box.target.square().sum().sqrt()
    reached = (learner.offset_[0] - box.target).square().sum().sqrt()
    assert reached < 0.1 * start


def test_collaboration_beats_either_part_on_the_toy_box() -> None:
    """The signal needs the right context, the bias needs the refiner: only both do well."""
    from craft.learner.prompt_only import PromptOnly
    from craft.learner.refine_only import RefineOnly

    options = {"budget": 4000, "population": 20, "intrinsic_dim": 6, "hidden": 32}
    reached = {}
    for cls in (Collaborative, PromptOnly, RefineOnly):
        box = ToyBox(per_class=60)
        learner = cls(**options).fit(box, box.labels["train"], seed=1)
        reached[cls.__name__] = box.accuracy(learner.predict(box, "test"), "test")
    assert reached["Collaborative"] > reached["PromptOnly"]
    assert reached["Collaborative"] > reached["RefineOnly"]


@pytest.mark.parametrize(
    ("budget", "population", "share", "active"),
    [(2000, 40, 0.25, 12), (4000, 40, 0.25, 25), (8000, 40, 0.25, 50), (300, 10, 0.1, 3)],
)
def test_lambda2_holds_to_the_end_of_its_share_of_the_budget(
    monkeypatch: pytest.MonkeyPatch, budget: int, population: int, share: float, active: int
) -> None:
    from craft.learner.refine_only import RefineOnly
    from craft.learner.refiner import RefinerTrainer

    weights = []
    monkeypatch.setattr(
        RefinerTrainer,
        "train",
        lambda self, logits, labels, *, weight: weights.append(weight) or torch.zeros(()),
    )
    box = ToyBox()
    options = {"budget": budget, "population": population, "lambda2": 0.5, "lambda2_share": share}
    RefineOnly(**options, hidden=4).fit(box, box.labels["train"], seed=1)
    assert weights == [0.5] * active + [0.0] * (budget // population - active)
