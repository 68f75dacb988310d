"""Identifiers and vocabularies of the crate."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from craft.files import paths

#: Versions of the vocabularies; later profiles may require more.
CRATE_SPECIFICATION = "https://w3id.org/ro/crate/1.3"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.6": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.6": "Workflow Run Crate",
    "https://w3id.org/ro/wfrun/provenance/0.6": "Provenance Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.1": "Workflow RO-Crate",
}
CONTEXT = [f"{CRATE_SPECIFICATION}/context", "https://w3id.org/ro/terms/workflow-run/context"]
MIT = "https://spdx.org/licenses/MIT"
SNAKEFILE = f"{paths.WORKFLOW}/Snakefile"
RUN, ENGINE = "#run", "#engine"

#: Media types that Python does not know, or that differ by machine.
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".yaml": "application/yaml",
    ".safetensors": "application/octet-stream",
    ".smk": "text/x-python",
    "": "text/x-python",  # Snakefile
}

Entity = dict[str, Any]


def media_type(path: str) -> str:
    """Return the media type of a file by its name."""
    suffix = Path(path).suffix
    found = MEDIA_TYPES.get(suffix) or mimetypes.types_map.get(suffix)
    return found or "application/octet-stream"


def outside(path: str) -> bool:
    """Return whether a file lies outside the results."""
    return path.startswith("..")


def identifier(path: str) -> str:
    """Return the identifier of a file: its path in the crate, or a name outside the crate."""
    return f"#elsewhere/{quote(path)}" if outside(path) else quote(path)


def action_id(action: Mapping[str, Any]) -> str:
    """Return the identifier of one execution of a command."""
    said = "\n".join([action["command"], action["ended"], *action["wrote"]])
    return f"#action/{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def tool_id(command: str) -> str:
    """Return the identifier of a command."""
    return f"#tool/{command.split()[-1]}"


def step_id(command: str) -> str:
    """Return the identifier of a command as a step of the workflow."""
    return f"#step/{command.split()[-1]}"


def references(identifiers: Iterable[str]) -> list[Entity]:
    """Return references to entities."""
    return [{"@id": identifier} for identifier in identifiers]
