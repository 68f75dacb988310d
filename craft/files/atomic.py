"""Files on disk: written whole or not at all, read with errors that name them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

#: The one entry of a safetensors file's metadata, a JSON object.
METADATA = "craft"


#: What a disk says that is full, read-only, another user's, failing or under a quota; the last two
#: one without locks.
_DISK = (
    errno.ENOSPC,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EDQUOT,
    errno.EFBIG,
    errno.ENOSYS,
    errno.ENOLCK,
)


class RecordError(ValueError):
    """A file is missing, truncated, foreign, or does not match the files used with it."""


class WriteError(OSError):
    """The disk refuses a write; names the intended file."""


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the disk in the block into a WriteError that names ``path``.

    The error of a full disk names no file, or only a temporary one.
    """
    path = Path(path)
    try:
        yield
    except WriteError:
        raise
    except SafetensorError as error:
        # It has no errno, but what Rust makes of one: "No space left on device (os error 28)".
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = int(found[1]) if found else errno.EIO
        why = os.strerror(number) if found else str(error)
        raise WriteError(number, f"cannot be written: {why}", str(path)) from error
    except OSError as error:
        gone = error.errno == errno.ENOENT and not path.parent.is_dir()
        if error.errno not in _DISK and not gone:
            raise
        reason = "its folder was deleted meanwhile" if gone else error.strerror
        raise WriteError(error.errno, f"cannot be written: {reason}", str(path)) from error


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success, fsync it and rename it to ``path``.

    Raises WriteError for a full disk or a read-only folder.
    """
    path = Path(path)
    temporary = None
    with writing(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            os.close(handle)
            temporary = Path(name)
            yield temporary
            with open(temporary, "rb") as stream:
                os.fsync(stream.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        finally:
            if temporary:
                temporary.unlink(missing_ok=True)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` (UTF-8) whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def json_text(value: Any) -> str:
    """Return ``value`` as JSON, an object's entries on a line each; NaN and infinity: ValueError.

    Python's encoder is several times slower where it indents more than that.
    """
    if not isinstance(value, Mapping) or not value:
        return f"{_encoded(value)}\n"
    lines = ",\n".join(f" {_encoded(str(key))}: {_encoded(each)}" for key, each in value.items())
    return f"{{\n{lines}\n}}\n"


def _encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as :func:`json_text`; NaN and infinity raise ValueError."""
    write_text(path, json_text(value))


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; raises RecordError naming the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: not a readable JSON file ({error})") from error


#: The entry of a sealed JSON file that holds the SHA-256 of all others.
SEAL = "content_sha256"


def content_sha256(value: Mapping[str, Any]) -> str:
    """Return the hex SHA-256 of JSON values; the order of keys does not count."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write_sealed(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
    """Write a JSON object with its own checksum, so that :func:`read_sealed` notices an edit."""
    write_json(path, {**value, SEAL: content_sha256(value)})


def read_sealed(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what :func:`write_sealed` wrote, without the checksum.

    Raises RecordError for a file that is missing, cut short, or edited since.
    """
    value = read_json(path)
    if not isinstance(value, dict) or SEAL not in value:
        raise RecordError(f"{path}: expected a JSON object with {SEAL!r}, got none")
    seal = value.pop(SEAL)
    if seal != (found := content_sha256(value)):
        raise RecordError(f"{path}: expected content of SHA-256 {seal}, got {found}: it was edited")
    return value


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
) -> None:
    """Write arrays as safetensors, with JSON-encoded metadata."""
    with replacing(path) as temporary:
        save_file(
            # A scalar keeps its shape (), which np.ascontiguousarray makes (1,).
            {name: np.asarray(array, order="C") for name, array in tensors.items()},
            temporary,
            # One entry: safetensors writes several in an order of its own, other bytes each time.
            metadata={METADATA: json.dumps(dict(metadata))},
        )


def read_tensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote; raises RecordError for a truncated or foreign file."""
    try:
        with safe_open(str(path), framework="np") as stream:
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            return tensors, _metadata(stream)
    except (OSError, SafetensorError, ValueError) as error:
        raise RecordError(f"{path}: not a readable safetensors file ({error})") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the metadata that :func:`write_tensors` wrote; raises RecordError."""
    try:
        with safe_open(str(path), framework="np") as stream:
            return _metadata(stream)
    except (OSError, SafetensorError, ValueError) as error:
        raise RecordError(f"{path}: not a readable safetensors file ({error})") from error


def _metadata(stream: Any) -> dict[str, Any]:
    value = json.loads((stream.metadata() or {}).get(METADATA, "{}"))
    if not isinstance(value, dict):
        raise ValueError(f"metadata {METADATA!r}: expected a JSON object, got {value!r:.40}")
    return value


@contextlib.contextmanager
def unchanged(paths: Iterable[Path]) -> Iterator[None]:
    """Check files that the block reads several times; raises RecordError naming a replaced one.

    Missing files are left to the reader.
    """
    before = {path: _state(path) for path in paths}
    yield
    for path, state in before.items():
        if _state(path) != state:
            raise RecordError(f"{path}: changed or deleted while it was read")


def _state(path: Path) -> tuple[int, ...] | None:
    with contextlib.suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return None


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
