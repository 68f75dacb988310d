"""A connection to a service: its key, its errors, and retries after temporary failures."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx2

from craft.client.wire import JSON
from craft.protocol import BudgetExceeded

log = logging.getLogger(__name__)

#: Default environment variable of the key.
KEY_VARIABLE = "CRAFT_API_KEY"

#: Status codes of temporary failures; 409 too, if it has Retry-After.
_PASSING = (429, 503)
#: Seconds of the first wait, and of the longest.
_FIRST, _LONGEST = 0.25, 30.0


class ServiceError(RuntimeError):
    """The service refused a question, or could not be reached for too long."""


class ModelChanged(ServiceError):
    """The service's model has changed since the run began."""


def key_of(variable: str = KEY_VARIABLE) -> str:
    """Return the key in an environment variable; raises ServiceError if it is not set."""
    key = os.environ.get(variable, "")
    if not key:
        raise ServiceError(f"{variable}: expected the service's key in this variable, got nothing")
    return key


class Connection:
    """Calls of one key to one service.

    After a temporary failure (429, 503, the same call still in progress, a lost connection), a call
    is retried with increasing pauses, for ``patience`` seconds. Every other refusal raises
    ServiceError at once. ``read_timeout`` limits the wait for the next piece of an answer.
    """

    def __init__(
        self, url: str, key: str, *, patience: float = 300.0, read_timeout: float = 120.0
    ) -> None:
        self.url, self._patience = url.rstrip("/"), patience
        timeout = httpx2.Timeout(30.0, read=read_timeout, write=read_timeout)
        self._client = httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=timeout
        )

    def close(self) -> None:
        """Close the sockets."""
        self._client.close()

    def model(self) -> dict[str, Any]:
        """Return the facts of the model that this key may see."""
        return self.json("GET", "/v1/model")

    def usage(self) -> dict[str, Any]:
        """Return the spending and budgets of this key."""
        return self.json("GET", "/v1/usage")

    def task(
        self, class_names: Sequence[str], template: str, context_words: int | None = None
    ) -> dict[str, Any]:
        """Make a task, or find an existing one; return its name, facts and tokens."""
        asked = {"class_names": list(class_names), "template": template}
        return self.json("POST", "/v1/tasks", json=asked | {"context_words": context_words})

    def json(self, method: str, path: str, **request: Any) -> Any:
        """Return the JSON answer of a call; raises ServiceError."""
        with self.answer(method, path, **request) as response:
            response.read()
            if response.headers.get("content-type", "").partition(";")[0] != JSON:
                raise ServiceError(f"{self.url}{path}: expected JSON; is it a service of craft?")
            return response.json()

    @contextlib.contextmanager
    def answer(self, method: str, path: str, **request: Any) -> Iterator[httpx2.Response]:
        """Yield an answer of status 2xx whose body is not read yet.

        ``request`` holds keywords of httpx2; a function as ``content`` is called for each attempt.
        Raises BudgetExceeded (402), ModelChanged (412) and ServiceError.
        """
        wait = Wait(self._patience)
        while True:
            with contextlib.ExitStack() as stack:
                content = request.get("content")
                given = request | ({"content": content()} if callable(content) else {})
                try:
                    response = stack.enter_context(self._client.stream(method, path, **given))
                    if response.is_success:
                        yield response
                        return
                    response.read()
                except httpx2.TransportError as error:
                    wait.after(f"{self.url}{path}: {type(error).__name__}: {error}")
                    continue
                self._refused(path, response, wait)

    def _refused(self, path: str, response: httpx2.Response, wait: Wait) -> None:
        status = response.status_code
        said = f"{self.url}{path}: {status}: {_detail(response)}"
        retry = response.headers.get("retry-after")
        if status in _PASSING or (status == 409 and retry):
            wait.after(said, float(retry) if retry and retry.isdecimal() else 0.0)
            return
        if status == 402:
            raise BudgetExceeded(said)
        raise (ModelChanged if status == 412 else ServiceError)(said)


class Wait:
    """Pauses that double, with jitter, up to a total number of seconds."""

    def __init__(self, patience: float) -> None:
        self._end, self._next = time.monotonic() + patience, _FIRST

    def after(self, failure: str, least: float = 0.0) -> None:
        """Wait after a failure; raises ServiceError with it when the total is used up."""
        seconds = max(least, self._next * random.uniform(0.5, 1.0))
        self._next = min(_LONGEST, 2 * self._next)
        if time.monotonic() + seconds > self._end:
            raise ServiceError(failure)
        log.info("%s; retrying in %.1f s", failure, seconds)
        time.sleep(seconds)


def _detail(response: httpx2.Response) -> str:
    try:
        content = response.json()
        return str(content["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200] or "no reason given"


def finite(value: Mapping[str, Any], name: str) -> float:
    """Return a number of an answer; raises ServiceError for anything else."""
    found = value.get(name)
    if not isinstance(found, int | float) or not math.isfinite(found):
        raise ServiceError(f"{name}: expected a number, got {found!r:.40}")
    return float(found)
