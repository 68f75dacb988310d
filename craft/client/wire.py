"""The wire format: names of headers, and tensors as a sequence of safetensors files.

Each file of an answer holds one float32 tensor. Its header states its length, so the sequence
needs no further framing.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterable, Iterator, Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

TENSORS, JSON, PROBLEM = (
    "application/vnd.safetensors",
    "application/json",
    "application/problem+json",
)
ZIP, TAR, GZIP = "application/zip", "application/x-tar", "application/gzip"

IDEMPOTENCY = "Idempotency-Key"
COST, LEFT, REVISION = "Query-Cost", "Query-Budget-Remaining", "Model-Revision"

#: Names of the tensors in answers and questions.
ANSWER, OFFSETS = "answer", "offsets"

#: Bytes to pass on at a time.
_PIECE = 1 << 20
#: Largest header of an answer of this format.
_LONGEST_HEAD = 4096


class WireError(ValueError):
    """Bytes that do not follow the wire format."""


def pack_offsets(offsets: torch.Tensor) -> bytes:
    """Return offsets (P, L, D) as safetensors."""
    return save({OFFSETS: offsets.detach().to("cpu", torch.float32).contiguous()})


def unpack_offsets(body: bytes) -> torch.Tensor:
    """Return float32 offsets of any shape; raises WireError for invalid bytes."""
    try:
        tensors = load(body)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WireError(f"body: expected safetensors, got other bytes ({error})") from error
    if set(tensors) != {OFFSETS}:
        raise WireError(f"body: expected one tensor {OFFSETS!r}, got {sorted(tensors)[:5]}")
    if tensors[OFFSETS].dtype != torch.float32:
        raise WireError(f"{OFFSETS}: expected float32, got {tensors[OFFSETS].dtype}")
    return tensors[OFFSETS]


def pack_block(block: torch.Tensor) -> Iterator[bytes | memoryview]:
    """Yield a block (B, rows, columns) as one safetensors file, in pieces; copies one row of B.

    Raises ValueError for another number of axes.
    """
    if block.ndim != 3:
        raise ValueError(f"block: expected 3 axes, got shape {tuple(block.shape)}")
    entry = {"dtype": "F32", "shape": list(block.shape), "data_offsets": [0, 4 * block.numel()]}
    head = json.dumps({ANSWER: entry}).encode()
    head += b" " * (-len(head) % 8)
    yield struct.pack("<Q", len(head)) + head
    for row in block:
        data = memoryview(row.to("cpu", torch.float32).contiguous().numpy()).cast("B")
        for start in range(0, len(data), _PIECE):
            yield data[start : start + _PIECE]


def unpack_blocks(pieces: Iterable[bytes]) -> Iterator[torch.Tensor]:
    """Yield the blocks (B, rows, columns) of an answer, each as soon as it is complete.

    Raises WireError for invalid bytes and for an answer that ends within a block.
    """
    reader = _Reader(iter(pieces))
    while (start := reader.read(8, at_end=True)) is not None:
        (length,) = struct.unpack("<Q", start)
        if length > _LONGEST_HEAD:
            raise WireError(
                f"answer: expected a head of at most {_LONGEST_HEAD} bytes, got {length}"
            )
        shape = _shape(bytes(reader.read(length)))
        data = reader.read(4 * math.prod(shape))
        block = torch.frombuffer(data, dtype=torch.float32) if data else torch.empty(0)
        yield block.reshape(shape)


def _shape(head: bytes) -> Sequence[int]:
    try:
        entry = json.loads(head)[ANSWER]
        shape, kind, ends = entry["shape"], entry["dtype"], entry["data_offsets"]
        whole = len(shape) == 3 and all(type(n) is int and n >= 0 for n in shape)
        if kind != "F32" or not whole or ends != [0, 4 * math.prod(shape)]:
            raise ValueError(f"{kind} of shape {shape}")
    except (ValueError, KeyError, TypeError) as error:
        raise WireError(
            f"answer: expected a head of float32 (B, rows, columns), got {error}"
        ) from error
    return shape


class _Reader:
    """Read exact numbers of bytes from pieces of any size."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def read(self, count: int, *, at_end: bool = False) -> bytearray | None:
        """Return ``count`` bytes; None at a permitted end of the answer."""
        found, done = bytearray(count), 0
        while done < count:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    if at_end and not done:
                        return None
                    raise WireError(f"answer: it ends {count - done} bytes early")
                self._rest = memoryview(piece)
                continue
            taken = self._rest[: count - done]
            found[done : done + len(taken)] = taken
            done += len(taken)
            self._rest = self._rest[len(taken) :]
        return found


def digest(*parts: str | bytes) -> str:
    """Return the hex SHA-256 of parts, each with its length."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(struct.pack("<Q", len(data)) + data)
    return found.hexdigest()
