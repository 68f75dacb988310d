"""GDA and CLAP against what they are by definition."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from craft.learner.clap import CLAP, class_certainties
from craft.learner.gda import GDA, chosen_weight, discriminant
from craft.protocol import QueryMeter
from tests.conformance.toy import ToyFeatureBox


def rows(images: int = 60, width: int = 6, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(images) % classes
    means = torch.randn(classes, width, generator=generator).double()
    noise = torch.randn(images, width, generator=generator).double()
    return F.normalize(means[labels] + 0.7 * noise, dim=1), labels


def test_a_round_covariance_gives_the_nearest_class_mean() -> None:
    _, labels = rows()
    means = torch.eye(3, 6).double()
    spread = torch.cat([torch.eye(6), -torch.eye(6)]).double()  # of equal variance everywhere
    features = (means[:, None] + 0.3 * spread).flatten(0, 1)[None]  # (1, 36, 6)
    labels = torch.arange(3).repeat_interleave(12)
    weight, bias = discriminant(features, labels, 3)
    n, variance = 36, 2 * 3 * 0.3**2 / 35
    expected = 6 / ((n - 1) * variance + 6 * variance)
    torch.testing.assert_close(weight, expected * means.T)
    some = torch.randn(50, 6, generator=torch.Generator().manual_seed(1)).double()
    nearest = torch.cdist(some, means).argmin(dim=1)
    assert torch.equal((some @ weight + bias).argmax(dim=1), nearest)


def test_it_is_linear_discriminant_analysis_with_its_own_precision() -> None:
    features, labels = rows()
    known = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3).fit(features, labels)
    weight, bias = discriminant(features[None], labels, 3)
    means = torch.from_numpy(known.means_)
    scatter = (features - means[labels]).T @ (features - means[labels])
    precision = 6 * torch.linalg.inv(scatter + scatter.trace() / 59 * torch.eye(6).double())
    torch.testing.assert_close(weight, precision @ means.T)
    torch.testing.assert_close(
        bias, torch.log(torch.tensor(1 / 3)) - torch.diagonal(means @ precision @ means.T) / 2
    )
    scatter_alone = known.covariance_ * 60  # scikit-learn's, to see that the rows are the same
    torch.testing.assert_close(torch.from_numpy(scatter_alone), scatter)


def test_one_shot_and_one_view_are_zero_shot() -> None:
    features, labels = rows(3)
    weight, bias = discriminant(features[None], labels, 3)
    assert weight.abs().max() == 0 and torch.unique(bias).numel() == 1
    assert chosen_weight(features[None], torch.eye(6, 3).double(), labels, 4) == pytest.approx(1e-5)


def test_the_weight_that_held_out_shots_prefer_is_chosen_the_least_of_equals() -> None:
    features, labels = rows(90)
    good = torch.stack([features[labels == k].mean(dim=0) for k in range(3)], dim=1)
    useless = torch.zeros(6, 3).double()
    # Nothing but the discriminant knows anything: every weight is right equally often.
    assert chosen_weight(features[None], useless, labels, 4) == pytest.approx(1e-5)
    # A zero-shot classifier that is wrong has to be outvoted.
    assert chosen_weight(features[None], 100 * good.roll(1, dims=1), labels, 4) > 0.1


@pytest.mark.parametrize("shots", [1, 16])
def test_gda_beats_zero_shot_where_images_are_turned(shots: int) -> None:
    box = ToyFeatureBox(per_class=max(shots, 20))
    learner = GDA(views=0).fit(box, box.labels["train"], seed=1)
    right = (learner.predict(box, "test").argmax(dim=1) == box.labels["test"]).float().mean()
    zero_shot = learner._own_scores(box, "test", "evaluate").argmax(dim=1)
    assert right > (zero_shot == box.labels["test"]).float().mean()
    assert box.meter.counts["search"] == 0


def test_views_of_a_held_out_image_are_held_out_with_it() -> None:
    """Ten equal views choose what one does: no copy of a held-out image trains."""
    features, labels = rows(30)
    named = torch.eye(6, 3).double() * 5
    once = chosen_weight(features[None], named, labels, 4)
    assert chosen_weight(features.expand(10, -1, -1), named, labels, 4) in (
        once,
        10 * once,
        once / 10,
    )


class Texts(ToyFeatureBox):
    """A toy box whose meter is its own."""

    def __init__(self) -> None:
        super().__init__()
        self.meter = QueryMeter()


def test_clap_without_a_penalty_leaves_zero_shot_and_a_large_one_keeps_it() -> None:
    box = Texts()
    labels = box.labels["train"]
    settings = {"crops": 0, "epochs": 60, "batch_size": 32}
    own = CLAP(**settings).fit(box, labels, seed=1)._own_scores(box, "test", "evaluate")

    def moved(**options) -> float:
        learner = CLAP(**settings, **options).fit(box, labels, seed=1)
        return float((learner.predict(box, "test") - own).abs().mean())

    free, kept = moved(penalised=False), moved()
    assert kept < free
    # A length of 60 has 36 times the penalty, and a step's pull towards zero-shot stays the same.
    assert moved(text_norm=60.0) < 0.2 * free


def test_it_is_the_authors_descent_of_prototypes_of_raw_length() -> None:
    """The same losses, prototypes and answers as without the change of units."""
    box, length = Texts(), 7.0
    labels, features = box.labels["train"], box.image_features("train")
    (texts,) = next(box.text_features(torch.zeros(1, 1, 4)))
    learner = CLAP(crops=0, epochs=5, text_norm=length, batch_size=30).fit(box, labels, seed=4)
    raw = (length * texts).requires_grad_()
    certainty = class_certainties(20 * features @ texts.T, labels, 4)
    generator = torch.Generator().manual_seed(4)
    optimizer = torch.optim.SGD([raw], lr=0.1, momentum=0.9)
    for epoch in range(5):
        rate = 1e-5 if epoch == 0 else 0.05 * (1 + math.cos(math.pi * (epoch - 1) / 5))
        optimizer.param_groups[0]["lr"] = rate
        total = 0.0
        for batch in torch.randperm(80, generator=generator).split(30)[:2]:
            scores = 20 * features[batch] @ F.normalize(raw, dim=1).T
            moved = (raw - length * texts).square().sum(dim=1)
            loss = F.cross_entropy(scores, labels[batch]) + (certainty * moved).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        assert learner.history_[epoch]["loss"] == pytest.approx(total / 2, rel=1e-4)
    expected = 20 * box.image_features("test") @ F.normalize(raw.detach(), dim=1).T
    torch.testing.assert_close(learner.predict(box, "test"), expected, atol=1e-3, rtol=1e-4)


def test_a_class_is_as_certain_as_its_shots_are_on_average() -> None:
    scores = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
    found = class_certainties(scores, torch.tensor([0, 0, 1]), 2)
    sigmoid = torch.sigmoid(torch.tensor([2.0, 0.0, 3.0]))
    torch.testing.assert_close(found, torch.stack([sigmoid[:2].mean(), sigmoid[2]]))
    assert ((found > 0) & (found < 1)).all()


class PaperSizedFeatures:
    """RN50's 1,024 features of DTD's 47 classes; nothing else of a box is asked for."""

    context_length, context_width, feature_width, logit_scale = 4, 512, 1024, 100.0

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.class_names = tuple(f"class {k}" for k in range(47))
        self.labels = torch.arange(47).repeat_interleave(2)
        self._texts = F.normalize(torch.randn(47, 1024, generator=generator), dim=1)
        noise = 0.06 * torch.randn(94, 1024, generator=generator)
        self._images = F.normalize(0.5 * self._texts[self.labels] + noise, dim=1)

    def image_features(self, image_set: str, purpose: str) -> torch.Tensor:
        return self._images

    def text_features(self, offsets: torch.Tensor, purpose: str) -> list[torch.Tensor]:
        return [self._texts.expand(len(offsets), -1, -1)]


@pytest.mark.parametrize("cls", [GDA, CLAP])
def test_they_fit_at_the_papers_sizes(cls: type) -> None:
    options = {"views": 0} if cls is GDA else {"crops": 0, "epochs": 20}
    box = PaperSizedFeatures()
    learner = cls(gate=True, **options).fit(box, box.labels, seed=1)
    restored = cls(gate=True, **options).restore(learner.state())
    answers = learner.predict(box, "train")
    assert torch.equal(answers, restored.predict(box, "train"))
    assert (answers.argmax(dim=1) == box.labels).float().mean() > 0.8
