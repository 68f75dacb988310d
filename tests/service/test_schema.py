"""The OpenAPI document against the service, over a real socket: made-up calls get what it says."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import pytest
import schemathesis
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from craft.client.wire import GZIP, TAR, TENSORS, ZIP, pack_offsets
from tests.miniature.archives import photo, tarred, zipped
from tests.service.server import Running

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]
CALLS = {
    *("GET /healthz", "GET /v1/model", "GET /v1/usage", "POST /v1/tasks"),
    *("PUT /v1/image-sets/{name}", "DELETE /v1/image-sets/{name}"),
    *("POST /v1/predict", "POST /v1/texts", "POST /v1/text-features", "POST /v1/image-features"),
}

_shapes = st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from([1, 63, 64]))
_offsets = _shapes.map(lambda shape: pack_offsets(torch.zeros(shape)))
schemathesis.openapi.media_type(TENSORS, st.one_of(st.binary(max_size=64), _offsets))
_members = st.dictionaries(st.sampled_from(["a.png", "b/c.jpg", "../d.png"]), st.just(photo(1)))
schemathesis.openapi.media_type(ZIP, st.one_of(st.binary(max_size=64), _members.map(zipped)))
schemathesis.openapi.media_type(TAR, _members.map(lambda found: tarred(found, False)))
schemathesis.openapi.media_type(GZIP, st.one_of(st.binary(max_size=64), _members.map(tarred)))


def test_the_document_lists_every_call_and_a_problem_for_every_error(server: Running) -> None:
    document = server.client().get("/openapi.json").json()
    found = {
        f"{method.upper()} {path}": call
        for path, calls in document["paths"].items()
        for method, call in calls.items()
    }
    assert set(found) == CALLS
    for call in found.values():
        for status, answer in call["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"]
    charged = found["POST /v1/predict"]
    assert {"401", "402", "404", "409", "413", "415", "422", "429", "503"} <= set(
        charged["responses"]
    )
    (idempotency,) = (p for p in charged["parameters"] if p["name"] == "Idempotency-Key")
    assert idempotency["required"] and idempotency["in"] == "header"
    assert charged["security"] == [{"HTTPBearer": []}]


@pytest.mark.parametrize("examples", [2, pytest.param(300, marks=pytest.mark.exhaustive)])
def test_made_up_calls_get_what_the_document_says(server: Running, examples: int) -> None:
    key = server.key(f"schemathesis-{examples}")
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    seen, numbers = set(), itertools.count()
    for result in schema.get_all_operations():
        operation = result.ok()
        seen.add(operation.label)
        modes = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

        @seed(1)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.one_of(modes))
        def asked(case: schemathesis.Case) -> None:
            # What is asked for is there half of the time.
            for name, known in (("task", "shapes"), ("image_set", "pictures")):
                if name in (case.query or {}) and next(numbers) % 2:
                    case.query[name] = known
            case.headers.pop("If-Match", None)  # another model is refused before anything else
            headers = {"Authorization": f"Bearer {key}"}
            case.call_and_validate(headers=headers, checks=CHECKS)

        asked()
    assert seen == CALLS
