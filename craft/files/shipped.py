"""Files that ship with the project: descriptions, weights, published numbers."""

from __future__ import annotations

import os
from pathlib import Path

from craft.runtime.provenance import ROOT

#: Folders of descriptions, below a working folder and below the project.
DATASETS, BACKBONES = "config/datasets", "config/backbones"


def find(path: str | os.PathLike[str], root: str | os.PathLike[str] = ".") -> Path:
    """Return a file or folder below the working folder ``root``, else the project's.

    If neither exists, return the path below the working folder.
    """
    own, shipped = Path(root, path), ROOT / path
    return shipped if shipped.exists() and not own.exists() else own


def names(folder: str, root: str | os.PathLike[str] = ".") -> list[str]:
    """Return the names of all YAML files of a folder, the user's and the shipped, sorted."""
    places = (Path(root, folder), ROOT / folder)
    return sorted({path.stem for place in places for path in place.glob("*.yaml")})
