"""Bodies of requests: read with limits on size and time, and checked before use."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import torch
from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ValidationError
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from craft.client.wire import GZIP, JSON, TAR, TENSORS, ZIP, WireError, unpack_offsets
from craft.data.fetch.archive import Limits as ArchiveLimits
from craft.data.fetch.archive import Member, UnpackError, safe_parts
from craft.data.fetch.unpack import unpack
from craft.service.limits import Limits
from craft.service.problem_details import Problem

MULTIPART = "multipart/form-data"
ARCHIVES = (ZIP, TAR, GZIP)


def media_type(request: Request) -> str:
    """Return a body's media type without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def pieces(request: Request, most: int, seconds: float) -> AsyncIterator[bytes]:
    """Yield a body in pieces; raises Problem 413 beyond ``most`` bytes, 408 if it is late."""
    said = request.headers.get("content-length", "0")
    if not said.isdecimal() or int(said) > most:
        raise Problem(413, f"body: expected at most {most} bytes, got {said[:20]}")
    stream, size, end = request.stream(), 0, time.monotonic() + seconds
    try:
        while True:
            left = max(0.0, end - time.monotonic())
            piece = await asyncio.wait_for(anext(stream, None), left)
            if piece is None:
                return
            size += len(piece)
            if size > most:
                raise Problem(413, f"body: expected at most {most} bytes, got more")
            yield piece
    except TimeoutError:
        raise Problem(408, f"body: expected it within {seconds:g} s") from None
    except ClientDisconnect:
        raise Problem(400, "body: expected all of it, but the connection ended early") from None


async def whole(request: Request, most: int, seconds: float) -> bytes:
    """Return a body; raises as :func:`pieces`."""
    return b"".join([piece async for piece in pieces(request, most, seconds)])


async def offsets(request: Request, limits: Limits) -> torch.Tensor:
    """Return the offsets of a question, float32; raises Problem 408, 413, 415 or 422."""
    kind = media_type(request)
    if kind not in (TENSORS, JSON):
        raise Problem(415, f"Content-Type: expected {TENSORS} or {JSON}, got {kind!r}")
    most = limits.body_bytes if kind == TENSORS else limits.json_bytes
    body = await whole(request, most, limits.body_seconds)
    try:
        return unpack_offsets(body) if kind == TENSORS else _from_json(body)
    except WireError as error:
        raise Problem(422, str(error)) from None


def _from_json(body: bytes) -> torch.Tensor:
    try:
        content = json.loads(body)
        found = torch.tensor(content["offsets"], dtype=torch.float32)
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, RuntimeError) as error:
        raise WireError("body: expected {'offsets': [[[...]]]}, numbers by P, L, D") from error
    return found


async def document(request: Request, kind: type[BaseModel], limits: Limits) -> Any:
    """Return a JSON body as a model; raises Problem 408, 413, 415 or 422."""
    if media_type(request) != JSON:
        raise Problem(415, f"Content-Type: expected {JSON}, got {media_type(request)!r}")
    body = await whole(request, limits.json_bytes, limits.body_seconds)
    try:
        return kind.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "body"
        raise Problem(422, f"{place}: {first['msg']}") from None


async def images(request: Request, folder: Path, limits: Limits) -> list[str]:
    """Write the images of an archive or a form below ``folder``; return their paths, sorted.

    Raises Problem 408, 413, 415 or 422.
    """
    kind = media_type(request)
    stream = pieces(request, limits.upload_bytes, limits.upload_seconds)
    target = folder / "images"
    target.mkdir()
    if kind in ARCHIVES:
        archive = folder / "upload"
        with archive.open("wb") as opened:
            async for piece in stream:
                await run_in_threadpool(opened.write, piece)
        await run_in_threadpool(_unpacked, archive, target, limits)
    elif kind == MULTIPART:
        await _from_form(request, stream, target, limits)
    else:
        expected = ", ".join([*ARCHIVES, MULTIPART, JSON])
        raise Problem(415, f"Content-Type: expected one of {expected}, got {kind!r}")
    found = sorted(p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file())
    if not 0 < len(found) <= limits.images:
        raise Problem(422, f"images: expected 1 to {limits.images}, got {len(found)}")
    return found


def _unpacked(archive: Path, target: Path, limits: Limits) -> None:
    try:
        unpack(archive, target, {".": "."}, ArchiveLimits.of(archive, limits.images))
    except UnpackError as error:
        # Do not reveal paths of the server.
        raise Problem(422, str(error).replace(str(archive), "archive")) from None


async def _from_form(
    request: Request, stream: AsyncIterator[bytes], target: Path, limits: Limits
) -> None:
    try:
        parser = MultiPartParser(request.headers, stream, max_files=limits.images, max_fields=0)
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise Problem(422, f"form: expected files, got another body ({error})") from None
    async with _closing(form):
        for _, file in form.multi_items():
            name = file.filename or ""
            try:
                parts = safe_parts(Path("form"), Member(name, "file", 0, "", _unread))
                path = target.joinpath(*parts)
                if path == target or path.exists():
                    raise UnpackError(f"form: expected files of different names, got {name!r}")
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as opened:
                    await run_in_threadpool(shutil.copyfileobj, file.file, opened)
            except (UnpackError, OSError, ValueError) as error:
                said = error if isinstance(error, UnpackError) else f"form: {name!r} is no name"
                raise Problem(422, str(said)) from None


def _unread() -> Any:
    raise NotImplementedError  # a form's file is copied, not read as a member


class _closing:
    """Context manager that closes a form's temporary files."""

    def __init__(self, form: Any) -> None:
        self._form = form

    async def __aenter__(self) -> None:
        """Return the form."""

    async def __aexit__(self, *_: object) -> None:
        await self._form.close()


def fits_json(shape: tuple[int, int, int], limits: Limits) -> bool:
    """Return whether an answer of so many numbers fits JSON, at 20 characters each."""
    return 20 * math.prod(shape) <= limits.json_bytes
