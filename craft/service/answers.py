"""Answers: computed block by block on the one worker of the device, and sent at once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from starlette.responses import Response

from craft.client.wire import TENSORS, pack_block

log = logging.getLogger("craft.service")


class Device:
    """The one worker that computes answers, with a fixed number of threads."""

    def __init__(self, threads: int) -> None:
        self._worker = ThreadPoolExecutor(
            1, "device", initializer=torch.set_num_threads, initargs=(threads,)
        )

    async def run(self, work: Callable[..., Any], *given: Any) -> Any:
        """Return the result of ``work``."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, *given)

    async def blocks(self, compute: Callable[[], Iterator[torch.Tensor]]) -> AsyncIterator[Any]:
        """Yield the blocks of a question; other questions' blocks may be computed in between."""
        made = await self.run(compute)
        while (block := await self.run(next, made, None)) is not None:
            yield block

    def close(self) -> None:
        """End the worker after the current block."""
        self._worker.shutdown(cancel_futures=True)


class Stream(Response):
    """Blocks as safetensors, each sent before the next is computed.

    The head waits for the first block, so that an error before it gets its own status. The answer
    ends if the client disconnects or reads nothing for ``idle`` seconds.
    """

    media_type = TENSORS

    def __init__(
        self,
        first: torch.Tensor,
        rest: AsyncIterator[torch.Tensor],
        headers: dict[str, str],
        idle: float,
        done: Callable[[], None],
    ) -> None:
        self._first, self._rest, self._idle, self._done = first, rest, idle, done
        super().__init__(headers=headers, media_type=TENSORS)
        del self.headers["content-length"]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send head and blocks."""
        gone = asyncio.create_task(_disconnected(receive))
        try:
            head = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **head})
            block: torch.Tensor | None = self._first
            while block is not None:
                for piece in pack_block(block):
                    if gone.done():
                        return
                    body = {"type": "http.response.body", "body": piece, "more_body": True}
                    await asyncio.wait_for(send(body), self._idle)
                block = await anext(self._rest, None)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.warning("answer ended: its client has read nothing for %g s", self._idle)
            raise ConnectionAbortedError("the client reads nothing") from None
        finally:
            gone.cancel()
            with contextlib.suppress(Exception):
                await self._rest.aclose()
            self._done()


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def gathered(first: torch.Tensor, rest: AsyncIterator[torch.Tensor]) -> list[Any]:
    """Return the numbers of all blocks, (P, rows, columns) nested lists."""
    found = [first.tolist()]
    async for block in rest:
        found.append(block.tolist())
    return list(itertools.chain(*found))
