"""Places to have a file from, and how it comes from the Hugging Face hub and Google Drive.

Like those of ``http``, each function writes a path beside the final one and continues what an
earlier call left there. None knows what the file should hold; ``file`` verifies it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

HUB = "https://huggingface.co"
DRIVE = "https://drive.google.com"

_HTML = re.compile(rb"^\s*(<!doctype\s+html|<html|<head|<\?xml[^>]*>\s*<!doctype\s+html)", re.I)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.I | re.S)


class SourceError(RuntimeError):
    """One source does not give the file; the next may."""


@dataclass(frozen=True)
class Policy:
    """How long a download waits and how often it tries again."""

    attempts: int = 6  # in a row that bring less than a mebibyte
    wait: float = 1.0  # seconds before the second attempt, doubled for each further one
    longest_wait: float = 60.0  # seconds, also where a server asks for longer
    connect_timeout: float = 10.0  # seconds
    read_timeout: float = 60.0  # seconds without a byte


def address(source: Mapping[str, Any]) -> str:
    """Return what a source is called in messages, and where its host is looked up."""
    if source["kind"] == "http":
        return source["url"]
    if source["kind"] == "gdrive":
        return f"{DRIVE}/uc?id={source['id']}"
    folder = "datasets/" if source.get("repo_type") == "dataset" else ""
    return (
        f"{_hub_address()}/{folder}{source['repo']}/resolve/{source['revision']}/{source['file']}"
    )


def _hub_address() -> str:
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def refuse_html(head: bytes, where: str, content_type: str = "") -> None:
    """Raise SourceError for a web page in place of a file; ``head`` is its beginning."""
    if not (_HTML.match(head) or content_type.lower().startswith("text/html")):
        return
    title = _TITLE.search(head)
    named = f" titled {title[1].decode('utf-8', 'replace').strip()!r}" if title else ""
    raise SourceError(
        f"{where} answered with a web page{named} in place of the file: a login page, or "
        "a quota or virus-scan page of Google Drive"
    )


def hub(source: Mapping[str, Any], part: Path, policy: Policy) -> None:
    """Bring a file of a pinned revision of a Hugging Face repository; raises SourceError."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    folder = part.with_name(part.name + ".hub")
    where = address(source)
    try:
        path = hf_hub_download(
            source["repo"],
            source["file"],
            repo_type=source.get("repo_type", "model"),
            revision=source["revision"],
            local_dir=folder,
            endpoint=_hub_address(),
            etag_timeout=policy.connect_timeout,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError, RuntimeError) as error:
        raise SourceError(f"{where}: {error} {error.__cause__ or ''}".rstrip()) from error
    os.replace(path, part)
    shutil.rmtree(folder)


def gdrive(source: Mapping[str, Any], part: Path, policy: Policy) -> None:
    """Bring a public file of Google Drive; raises SourceError, also for its quota page."""
    import gdown

    # gdown keeps its partial file beside its output; in a folder of its own it finds it again.
    folder = part.with_name(part.name + ".drive")
    folder.mkdir(exist_ok=True)
    output = folder / "file"
    try:
        gdown.download(
            id=source["id"],
            output=str(output),
            quiet=True,
            use_cookies=False,
            resume=True,
            retries=policy.attempts,
            timeout=(policy.connect_timeout, policy.read_timeout),
        )
    except OSError as error:
        if isinstance(error, requests.RequestException):
            raise SourceError(f"{address(source)}: {error}") from error
        raise
    except Exception as error:
        # gdown reads Google's pages: one that it does not expect may raise anything.
        raise SourceError(f"{address(source)}: {error!r}") from error
    os.replace(output, part)
    shutil.rmtree(folder)
