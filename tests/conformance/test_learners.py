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
from craft.learner.folds import fold_numbers, fold_sizes
from craft.learner.gauss_newton import GaussNewton
from craft.learner.prompt_only import PromptOnly
from craft.learner.refine_only import RefineOnly
from craft.learner.sequential import Sequential
from craft.learner.yu import Yu
from craft.protocol import BlackBox, BudgetExceeded, FeatureBox, UploadBox, VisualBox

from .toy import TOYS, ToyBox, ToyFeatureBox, ToyUploadBox, ToyVisualBox, own_side

SMALL = {"budget": 400, "population": 20, "intrinsic_dim": 6, "hidden": 16, "passes": 2}
#: What a learner needs besides to be quick.
QUICK = {
    "LFA": {"iterations": 9, "shrinkage_values": 3},
    "CBBT": {"epochs": 8, "directions": 4, "batch_size": 20},
    "Probe": {"queries": 3},
    "Yu": {"visual_tokens": 2, "visual_dim": 5},
    "TextProbe": {"queries": 3},
    "GDA": {"views": 0},
    "ZIP": {
        "context_tokens": 2,
        "budget": 40,
        "repeats": 2,
        "dimension": 6,
        "rank": 2,
        "batch_size": 30,
    },
    "CLAP": {"epochs": 8, "crops": 0, "batch_size": 16},
    "BlackVIP": {"steps": 9, "repeats": 2, "batch_size": 30, "trigger": 4, "channels": "6,4"},
}


def small(cls: type[Learner], options: dict) -> Learner:
    return cls(**SMALL | QUICK.get(cls.__name__, {}) | options)


def toy(
    cls: type[Learner], options: dict | None = None, **settings
) -> ToyBox | ToyFeatureBox | ToyUploadBox:
    return TOYS[small(cls, options or {}).access](**settings)


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
    pytest.param(GaussNewton, {"head": "joint", "budget": 80}, id="GaussNewton-joint"),
    pytest.param(RefineOnly, {"solver": "convex", "gate": True}, id="RefineOnly-convex-gated"),
    pytest.param(
        Sequential, {"solver": "convex"}, id="Sequential-convex", marks=pytest.mark.exhaustive
    ),
]
#: Visual prompts beside contexts, of learners that search; folds in turn.
VISUAL = {"visual_tokens": 2, "visual_dim": 5, "search_folds": 2}
VARIANTS += [
    pytest.param(Collaborative, VISUAL, id="Collaborative-visual"),
    pytest.param(Sequential, VISUAL | {"gate": True}, id="Sequential-visual"),
]
#: The gate of every learner that tunes something; Probe has it anyway, and ZIP refuses it.
GATED = [
    pytest.param(
        cls,
        {"gate": True},
        id=f"{cls.__name__}-gated",
        marks=[] if cls.__name__ in ("Collaborative", "LFA", "CBBT") else pytest.mark.exhaustive,
    )
    for cls in learners()
    if cls.__name__ not in ("ZeroShot", "Probe", "TextProbe", "ZIP")
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
    box, learner = box or toy(cls, options), small(cls, options)
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
    assert isinstance(ToyVisualBox(), VisualBox) and isinstance(ToyVisualBox(), BlackBox)
    assert not isinstance(ToyBox(), VisualBox)


@pytest.mark.parametrize(("cls", "options"), VARIANTS)
class TestEveryLearner:
    def test_fit_returns_self_and_predicts_logits(self, cls, options) -> None:
        box = toy(cls, options)
        learner = small(cls, options)
        assert fit(learner, box) is learner
        logits = predict(learner, box)
        assert logits.shape == (box.image_sets["test"], len(box.class_names))
        assert torch.isfinite(logits).all()
        assert not logits.requires_grad

    def test_predict_before_fit_says_so(self, cls, options) -> None:
        with pytest.raises(RuntimeError, match="before fit"):
            predict(small(cls, options), toy(cls, options))

    def test_same_seed_same_bits(self, cls, options) -> None:
        torch.manual_seed(5)
        first, _ = fitted_once(cls, options)
        torch.manual_seed(6)
        second, box = fitted(cls, options)
        assert torch.equal(predict(first, toy(cls, options)), predict(second, box))
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
        if cls.__name__ in ("ZeroShot", "GDA", "TextProbe") or (cls is RefineOnly and options):
            pytest.skip("it draws nothing")
        first, _ = fitted_once(cls, options)
        second, box = fitted(cls, options, seed=2)
        assert not torch.equal(predict(first, box), predict(second, box))

    def test_never_trains_on_test_images(self, cls, options) -> None:
        _, box = fitted_once(cls, options)
        assert all(image_set.partition("/")[0] == "train" for image_set, _, _ in box.asked)
        assert box.meter.counts["evaluate"] == 0

    def test_search_queries_are_those_it_reports(self, cls, options) -> None:
        learner, box = fitted_once(cls, options)
        assert learner.queries_ == box.meter.counts["search"]
        assert learner.queries_ in (0, learner.work(80, 4).search)

    def test_stops_at_the_boxs_budget(self, cls, options) -> None:
        learner, _ = fitted_once(cls, options)
        if learner.queries_:
            with pytest.raises(BudgetExceeded):
                fitted(cls, options, box=toy(cls, options, budget=15))

    def test_state_round_trip(self, cls, options) -> None:
        learner, _ = fitted_once(cls, options)
        box, copy = toy(cls, options), small(cls, options).restore(learner.state())
        assert torch.equal(predict(learner, box), predict(copy, box))

    def test_foreign_state_is_refused(self, cls, options) -> None:
        with pytest.raises(ValueError, match=r"expected .(offset|refiner)"):
            small(cls, options).restore({"weights": torch.zeros(3)})

    def test_a_prediction_takes_the_queries_that_are_stated(self, cls, options) -> None:
        learner, _ = fitted_once(cls, options)
        box = toy(cls, options)
        predict(learner, box)
        assert box.meter.counts["evaluate"] == learner.work(80, 4).predict == box.meter.total

    def test_unknown_option_is_refused_by_name(self, cls, options) -> None:
        with pytest.raises(ValueError, match="budgett"):
            cls(**options, budgett=3)

    def test_broken_scores_are_refused(self, cls, options) -> None:
        class Broken(TOYS[small(cls, options).access]):
            def predict(self, *args, **kwargs):
                for block in super().predict(*args, **kwargs):
                    yield block * float("nan")

            def text_features(self, *args, **kwargs):
                for block in super().text_features(*args, **kwargs):
                    yield block * float("nan")

            def score(self, *args, **kwargs):
                for block in super().score(*args, **kwargs):
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

            first, second = toy(cls, options), toy(cls, options)
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
        box, seen = toy(cls, options), []
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
        if learner.options.encodes_images:
            assert work.images == box.meter.images["search"] + box.meter.images["refine"]
        assert work.generations == len(learner.history_) == learner.generations_
        # LFA refines a map of features, which is no pass over scores.
        scores = learner.access != "features"
        refined = [row for row in learner.history_ if "refine_loss" in row and scores]
        assert work.passes == learner.options.passes * len(refined)
        assert work.scored in (0, work.search)


@pytest.mark.parametrize(("cls", "options"), GATED)
class TestEveryGatedLearner:
    def test_images_like_the_shots_get_its_answer_and_far_ones_the_boxs(self, cls, options) -> None:
        """Answers lie between the learner's and the box's own, by the gate's weight alone."""
        learner, _ = fitted_once(cls, options)
        plain, _ = fitted(cls, {})
        own = own_scores(learner, toy(cls, options)).double()
        tuned = predict(plain, toy(cls, options)).double().softmax(dim=1)
        weight = learner.gate_.weights(own, tuned.argmax(dim=1))[:, None]
        assert weight.min() < 0.9 < weight.max()
        expected = weight * tuned + (1 - weight) * (learner.gate_.tau * own).softmax(dim=1)
        answer = predict(learner, toy(cls, options)).double().exp()
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
    options = {"budget": 4000, "population": 20, "intrinsic_dim": 6, "projection_std": 0.3}
    box = ToyBox()
    learner = PromptOnly(**options).fit(box, box.labels["train"], seed=3)
    start = box.target.square().sum().sqrt()
    reached = (learner.offset_[0] - box.target).square().sum().sqrt()
    assert reached < 0.1 * start


def test_collaboration_beats_either_part_on_the_toy_box() -> None:
    """The signal needs the right context, the bias needs the refiner: only both do well."""

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


@pytest.mark.parametrize("cls", [PromptOnly, Collaborative, Sequential])
def test_a_learner_of_predictions_has_the_same_bits_on_a_richer_box(cls) -> None:
    box, richer = ToyBox(), ToyVisualBox()
    first, second = fitted(cls, {}, box=box)[0], fitted(cls, {"visual_tokens": 0}, box=richer)[0]
    assert first.history_ == second.history_
    assert torch.equal(first.predict(box, "test"), second.predict(richer, "test"))
    assert richer.meter.images["search"] == 0


@pytest.mark.parametrize(("cls", "lift"), [(PromptOnly, 1.0), (Collaborative, 0.5)])
def test_visual_prompts_are_searched_beside_the_context(cls, lift) -> None:
    """The toy box is surest where every token points along the first axis."""
    options = {"budget": 4000, "visual_tokens": 2, "visual_dim": 5}
    learner, _ = fitted(cls, options)
    tokens = torch.nn.functional.normalize(learner.visual_, dim=-1)
    assert learner.visual_.shape == (1, 2, 3)
    assert tokens[..., 0].mean() > 0.9 * lift


def test_folds_are_taken_in_turn_and_touch_each_image_equally_often() -> None:
    learner, box = fitted(PromptOnly, {"search_folds": 2, "visual_tokens": 1, "visual_dim": 2})
    searched = [image_set for image_set, _, _ in box.asked]
    assert searched == ["train/fold-1", "train/fold-2"] * (learner.options.generations // 2)
    numbers = fold_numbers(torch.tensor([0, 1, 0, 1, 0, 1, 0, 1]), 2)
    assert numbers.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert sum(fold_sizes(16, 5)) == 16 and max(fold_sizes(16, 5)) - min(fold_sizes(16, 5)) <= 1


def test_more_folds_than_shots_are_refused() -> None:
    with pytest.raises(ValueError, match="search_folds: expected at most 20"):
        fitted(PromptOnly, {"search_folds": 21})


def test_a_box_that_takes_fewer_visual_prompts_is_refused_before_a_query() -> None:
    box = ToyVisualBox()
    with pytest.raises(ValueError, match="visual_tokens: expected at most 4"):
        fitted(PromptOnly, {"visual_tokens": 5}, box=box)
    with pytest.raises(ValueError, match="takes visual prompts"):
        fitted(PromptOnly, {"visual_tokens": 2}, box=ToyBox())
    assert box.meter.total == 0


def test_yu_tests_the_candidate_of_the_lowest_loss() -> None:
    least = []

    class Watching(ToyVisualBox):
        def predict(self, image_set, context_offsets, purpose="search", visual_prompts=None):
            done = 0
            for block in super().predict(image_set, context_offsets, purpose, visual_prompts):
                for logits in block if purpose == "search" else ():
                    loss = torch.nn.functional.cross_entropy(logits, self.labels[image_set])
                    least.append((loss.item(), context_offsets[done], visual_prompts[done]))
                    done += 1
                yield block

    learner, _ = fitted(Yu, {}, box=Watching())
    _, context, visual = min(least, key=lambda entry: entry[0])
    assert torch.allclose(learner.offset_[0], context, atol=1e-6)
    assert torch.allclose(learner.visual_[0], visual, atol=1e-6)
    assert learner.best_loss() == pytest.approx(min(loss for loss, *_ in least), abs=1e-6)
