"""Calls to a commercial service: JSON requests, rate limits, retries."""

from __future__ import annotations

import email.utils
import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx2

from craft.client.connection import ServiceError, Wait
from craft.protocol import BudgetExceeded

log = logging.getLogger(__name__)

#: Status codes of temporary failures.
_PASSING = (408, 429, 500, 502, 503, 504)
#: Error code of a spent budget, which services send with the status of a rate limit.
_SPENT = "insufficient_quota"
#: A duration such as 20ms, 1s or 6m0s.
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


class TooLarge(ServiceError):
    """The request is too large for the service."""


class Hosted:
    """Calls of one key to one service, which may charge for each.

    A call is retried after temporary failures for ``patience`` seconds. If an answer says that the
    rate limit is reached, the next call waits until it is lifted. ``timeout`` limits the wait for
    an answer, in seconds.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        patience: float = 300.0,
        timeout: float = 60.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.url, self._patience = url.rstrip("/"), patience
        authorization = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx2.Client(headers=authorization | dict(headers or {}), timeout=timeout)
        self._lock, self._free_at = threading.Lock(), 0.0
        self.calls = 0  # answered calls, as an invoice counts them

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer to a POST of ``body``.

        Raises BudgetExceeded for a spent budget, TooLarge, and ServiceError.
        """
        url, wait = f"{self.url}{path}", Wait(self._patience)
        while True:
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            try:
                answer = self._client.post(url, json=dict(body))
            except httpx2.TransportError as error:
                wait.after(f"{url}: {type(error).__name__}: {error}")
                continue
            if answer.is_success:
                with self._lock:
                    self.calls += 1
                    self._free_at = max(self._free_at, time.monotonic() + pause(answer.headers))
                try:
                    return answer.json()
                except ValueError:
                    raise ServiceError(f"{url}: expected JSON, got {answer.text[:80]!r}") from None
            self._refused(url, answer, wait)

    def _refused(self, url: str, answer: httpx2.Response, wait: Wait) -> None:
        said = f"{url}: {answer.status_code}: {answer.text[:200]}"
        if answer.status_code == 402 or _SPENT in answer.text:
            raise BudgetExceeded(said)
        if answer.status_code == 413:
            raise TooLarge(said)
        if answer.status_code not in _PASSING:
            raise ServiceError(said)
        wait.after(said, retry_after(answer.headers))


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of the header ``Retry-After``, 0 without it."""
    value = headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    date = email.utils.parsedate_tz(value)
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else 0.0


def pause(headers: Mapping[str, str]) -> float:
    """Return the seconds until the service accepts another call, 0 if it does now.

    Reads the headers ``x-ratelimit-*-requests`` and ``-tokens``, and the drafts of ``RateLimit``.
    """
    waits = [0.0]
    for prefix, suffix in (
        ("x-ratelimit-", "-requests"),
        ("x-ratelimit-", "-tokens"),
        ("x-ratelimit-", ""),
        ("ratelimit-", ""),
    ):
        left = headers.get(f"{prefix}remaining{suffix}")
        reset = headers.get(f"{prefix}reset{suffix}")
        if left is not None and reset is not None and _number(left) < 1:
            waits.append(_seconds(reset))
    for policy in headers.get("ratelimit", "").split(","):
        said = dict(re.findall(r";\s*([rt])=(\d+)", policy))
        if said.get("r") == "0" and "t" in said:
            waits.append(float(said["t"]))
    return max(waits)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    match = _DURATION.fullmatch(text.strip())
    if not match:
        return 0.0
    hours, minutes, seconds, thousandths = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds + thousandths / 1000
