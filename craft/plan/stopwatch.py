"""Seconds of a call: of one core, whatever else the machine does, or of a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch


class Clock:
    """Times calls: processor time of this one thread, or wall time of a GPU that it waits for."""

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"

    def now(self) -> float:
        """Seconds since some moment."""
        if self._cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        # What else runs on the machine now may not run then.
        return time.process_time()

    def seconds(self, call: Callable[[], Any], at_least: float = 0.2, most: int = 50) -> float:
        """Mean seconds of a call, after a first one that is not counted unless it takes long."""
        start = self.now()
        call()
        first = self.now() - start
        if first > 5 * at_least:
            return first
        start, count = self.now(), 0
        while count < most:
            call()
            count += 1
            if self.now() - start > at_least:
                break
        return (self.now() - start) / count
