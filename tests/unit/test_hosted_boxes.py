"""Boxes over services that exist, against stand-ins of the documented shapes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import InferenceClient
from PIL import Image

from craft.blackbox.text_box import FixedContextBox, LocalTextBox
from craft.client.cache import VectorCache
from craft.client.connection import ServiceError
from craft.client.embeddings import EmbeddingBox, Embeddings
from craft.client.hosted import Hosted, pause, retry_after
from craft.client.sent_images import SentImage
from craft.client.texts import CLIP_SCALE, Compare, HostedTextBox, ZeroShotTask
from craft.learner.lfa import LFA
from craft.learner.probe import Probe
from craft.learner.refine_only import RefineOnly
from craft.protocol import BlackBox, BudgetExceeded, FeatureBox, QueryMeter, TextBox
from tests.unit.hosted_services import SCALE, Model, Service, serving
from tests.unit.tuned import SHAPES, draw_images

NAMES = tuple(SHAPES)
TEMPLATES = ["a photo of a {}.", "a drawing of the {}."]
SHOTS = 2


@pytest.fixture(scope="module")
def model() -> Model:
    torch.set_num_threads(1)
    return Model()


@pytest.fixture
def service(model: Model) -> Iterator[Service]:
    with serving(model) as opened:
        yield opened


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("photos")
    draw_images(folder / "photos", 2 * SHOTS)
    by_class = [sorted((folder / "photos" / name).iterdir()) for name in NAMES]
    return {
        "train": [file for each in by_class for file in each[:SHOTS]],
        "test": [file for each in by_class for file in each[SHOTS:]],
    }


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.arange(len(NAMES)).repeat_interleave(SHOTS)


@pytest.fixture(scope="module")
def local(model: Model, files: dict[str, list[Path]]) -> LocalTextBox:
    """The same model in this process."""
    features = {
        name: torch.from_numpy(np.stack([model.image(file.read_bytes()) for file in each]))
        for name, each in files.items()
    }
    return LocalTextBox(lambda template: model.tower(NAMES, template), NAMES, features)


def hosted(service: Service, files: dict[str, list[Path]], kind: str, **given) -> HostedTextBox:
    called = Hosted(service.address, "secret-key", patience=5)
    scorer = Compare(called, most=2) if kind == "compare" else ZeroShotTask(called, "/zero-shot")
    return HostedTextBox(scorer, NAMES, files, at_once=2, **given)


def embedded(service: Service, files: dict[str, list[Path]], **given) -> EmbeddingBox:
    called = Hosted(f"{service.address}/v1", "secret-key", patience=5)
    return EmbeddingBox(Embeddings(called, "clip", batch=4, **given), NAMES, files)


# --- answers ---


@pytest.mark.parametrize("kind", ["compare", "zero-shot", "embeddings"])
def test_a_service_gives_the_scores_of_its_model(
    service: Service, model: Model, files, local: LocalTextBox, kind: str
) -> None:
    box = embedded(service, files) if kind == "embeddings" else hosted(service, files, kind)
    assert isinstance(box, TextBox) and isinstance(local, TextBox)
    scores = torch.cat(list(box.score("test", TEMPLATES)))
    expected = torch.cat(list(local.score("test", TEMPLATES)))
    assert scores.shape == (2, len(files["test"]), len(NAMES)) and scores.dtype == torch.float32
    if kind == "zero-shot":  # known up to a number for each image
        expected = expected - expected.mean(dim=-1, keepdim=True)
    own_scale = SCALE if kind == "zero-shot" else CLIP_SCALE
    ratio = own_scale / model.tower(NAMES, TEMPLATES[0]).logit_scale
    torch.testing.assert_close(scores, ratio * expected, rtol=1e-4, atol=2e-3)
    assert box.answers == ("log-probabilities" if kind == "zero-shot" else "logits")


def test_the_stand_in_answers_the_hubs_own_client(service: Service, files) -> None:
    """Its shape is the one that the client of that task sends and reads."""
    client = InferenceClient(model=f"{service.address}/zero-shot", token="secret-key")
    found = client.zero_shot_image_classification(
        str(files["test"][0]), list(NAMES), hypothesis_template=TEMPLATES[0]
    )
    theirs = dict(service.asked[-1])
    box = hosted(service, files, "zero-shot")
    scores = box._scorer.scores(SentImage.read(files["test"][0]), NAMES, TEMPLATES[0])
    assert service.asked[-1] == theirs
    assert scores == [next(f.score for f in found if f.label == name) for name in NAMES]


@pytest.mark.parametrize("learner", [Probe(), RefineOnly(budget=200, population=20, hidden=16)])
def test_learners_of_predictions_fit_on_a_service_of_texts(
    service: Service, files, labels: torch.Tensor, learner
) -> None:
    box = FixedContextBox(hosted(service, files, "zero-shot"), TEMPLATES[0])
    assert isinstance(box, BlackBox) and box.context_length == box.context_width == 0
    learner.fit(box, labels, seed=1)
    reached = (learner.predict(box, "test").argmax(dim=1) == labels).double().mean()
    assert reached >= 0.6  # a third by chance
    # Shots once, test images once: what was paid for is not paid again.
    assert len(service.asked) == 2 * len(labels)
    assert box.meter.images["refine"] == box.meter.images["evaluate"] == len(labels)


def test_learners_of_features_fit_on_embeddings(service: Service, files, labels) -> None:
    box = embedded(service, files)
    assert isinstance(box, FeatureBox)
    learner = LFA(iterations=3).fit(box, labels, seed=1, refine_sets=("train",))
    assert (learner.predict(box, "test").argmax(dim=1) == labels).double().mean() >= 0.6
    assert box.meter.images["upload"] == 2 * len(labels)


# --- what is paid for ---


@pytest.mark.parametrize("kind", ["compare", "embeddings"])
def test_another_process_pays_nothing_twice(service: Service, files, tmp_path, kind: str) -> None:
    def scores() -> torch.Tensor:
        cache = VectorCache(tmp_path / "cache" / "paid.sqlite")
        if kind == "embeddings":
            return torch.cat(list(embedded(service, files, cache=cache).score("test", TEMPLATES)))
        return torch.cat(list(hosted(service, files, kind, cache=cache).score("test", TEMPLATES)))

    first = scores()
    paid = len(service.asked)
    assert paid > 0 and torch.equal(scores(), first) and len(service.asked) == paid


def test_a_changed_image_is_asked_for_again_under_the_same_name(
    service: Service, tmp_path: Path
) -> None:
    files = {"test": [tmp_path / "0.png"]}
    embeddings = Embeddings(Hosted(f"{service.address}/v1", "k", patience=5), "clip")
    seen = []
    for colour in ("red", "blue"):
        Image.new("RGB", (40, 40), colour).save(files["test"][0])
        seen.append(embeddings.images(files["test"]))
    assert [asked for _, asked in seen] == [1, 1]
    assert not np.array_equal(seen[0][0], seen[1][0])


def test_what_was_paid_for_before_a_failure_is_kept(service: Service, files) -> None:
    cache = VectorCache()
    box = embedded(service, files, cache=cache)
    called = len(service.asked)

    def refused(handler) -> None:
        handler.answer(401, {"error": "no"})

    service.faults = [lambda handler: handler.answer(503, {}, Retry_After="0"), refused]
    with pytest.raises(ServiceError, match="401"):
        box.image_features("test")
    first = len(service.asked) - called
    box.image_features("test")
    sent = sum(len(body["input"]) for body in service.asked[called:])
    assert first == 0 and sent == len(files["test"])


def test_a_budget_refuses_before_anything_is_asked(service: Service, files) -> None:
    box = hosted(service, files, "compare", meter=QueryMeter(budget=1))
    with pytest.raises(BudgetExceeded):
        box.score("test", TEMPLATES)
    assert not service.asked
    with pytest.raises(KeyError, match="not uploaded"):
        box.score("nothing", TEMPLATES)
    with pytest.raises(ValueError, match="exactly once"):
        box.score("test", ["no name"])


# --- limits and failures ---


def test_a_batch_that_is_too_large_is_halved(service: Service, files) -> None:
    service.most = 1
    box = embedded(service, files)
    assert box.image_features("test").shape[0] == len(files["test"])
    assert {len(body["input"]) for body in service.asked} - {1} <= {2, 3, 4}
    assert len(service.asked[-1]["input"]) == 1


def test_what_passes_is_asked_again(service: Service, files) -> None:
    box = hosted(service, files, "compare")
    service.faults = [
        lambda handler: handler.answer(429, {"error": {"message": "slow"}}, Retry_After="0"),
        lambda handler: handler.connection.close(),
        lambda handler: handler.answer(503, {}),
    ]
    assert torch.cat(list(box.score("test", TEMPLATES[:1]))).shape[0] == 1


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"error": "unauthorised"}, ServiceError),
        (402, {"error": "pay"}, BudgetExceeded),
        (429, {"error": {"code": "insufficient_quota"}}, BudgetExceeded),
        (200, {"unexpected": 1}, ServiceError),
        (200, {"similarity": [0.5]}, ServiceError),
        (200, {"similarity": [float("nan"), 0.5]}, ServiceError),
        (200, {"similarity": [24.1, 21.2]}, ServiceError),
    ],
)
def test_what_does_not_pass_ends_the_question(
    service: Service, files, status: int, body: dict, error: type[Exception]
) -> None:
    service.faults = [lambda handler: handler.answer(status, body)] * 20
    with pytest.raises(error) as raised:
        list(hosted(service, files, "compare").score("test", TEMPLATES[:1]))
    assert "secret-key" not in str(raised.value)
    assert set(service.keys) == {"Bearer secret-key"}


@pytest.mark.parametrize("kind", ["compare", "zero-shot"])
def test_answers_of_fewer_than_four_digits_are_refused(service: Service, files, kind: str) -> None:
    for digits, refused in ((3, True), (2, True), (4, False)):
        service.digits = digits
        box = hosted(service, files, kind)
        if refused:
            with pytest.raises(ServiceError, match="4 digits"):
                list(box.score("test", TEMPLATES[:1]))
        else:
            list(box.score("test", TEMPLATES[:1]))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "1s"}, 0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "7"}, 7),
        ({"ratelimit": '"burst";r=3;t=2, "daily";r=0;t=12'}, 12),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, 0),
    ],
)
def test_limits_are_read_from_headers(headers: dict[str, str], seconds: float) -> None:
    assert pause(headers) == pytest.approx(seconds)


def test_a_date_to_come_back_at_is_read() -> None:
    assert retry_after({"retry-after": "12"}) == 12
    assert retry_after({"retry-after": "Wed, 01 Jan 2020 00:00:00 GMT"}) == 0
    assert retry_after({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}) > 1e6
    assert retry_after({}) == retry_after({"retry-after": "later"}) == 0


def test_a_service_at_its_limit_is_left_alone(service: Service, files, monkeypatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("craft.client.hosted.time.sleep", waited.append)
    service.headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}
    embedded(service, files).image_features("test")
    assert max(waited) > 8


# --- images as they go out ---


def test_a_photograph_goes_out_as_it_is_unless_a_viewer_shows_it_otherwise(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    picture = Image.fromarray(noise)
    picture.save(tmp_path / "plain.jpg", quality=90)
    plain = SentImage.read(tmp_path / "plain.jpg")
    assert (plain.content, plain.mime) == ((tmp_path / "plain.jpg").read_bytes(), "image/jpeg")
    assert plain.data_uri.startswith("data:image/jpeg;base64,")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    picture.save(tmp_path / "odd.bmp")
    for name, expected in (("turned.png", noise.transpose(1, 0, 2)[:, ::-1]), ("odd.bmp", noise)):
        sent = SentImage.read(tmp_path / name)
        (tmp_path / "sent.png").write_bytes(sent.content)
        assert sent.mime == "image/png"
        with Image.open(tmp_path / "sent.png") as shown:
            np.testing.assert_array_equal(np.asarray(shown), expected)


def test_the_cache_keeps_many_vectors_of_any_width(tmp_path: Path) -> None:
    rng = random.Random(0)
    vectors = {f"{n}": np.array([rng.random()] * (n % 3 + 1), np.float32) for n in range(1200)}
    VectorCache(tmp_path / "c.sqlite").put(vectors)
    found = VectorCache(tmp_path / "c.sqlite").get([*vectors, "unknown"])
    assert found.keys() == vectors.keys()
    assert all(np.array_equal(found[key], vectors[key]) for key in vectors)
