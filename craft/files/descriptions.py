"""Files that describe a suite, a data set or a backbone, completed with their schemas' defaults.

The schemas, ``workflow/schemas/KIND.schema.yaml``, are the one place of defaults.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Mapping
from typing import Any

from craft.files import yaml12
from craft.runtime.provenance import ROOT

SCHEMAS = ROOT / "workflow" / "schemas"


@functools.cache
def schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a ``config``, a ``dataset`` or a ``backbone``."""
    return yaml12.read(SCHEMAS / f"{kind}.schema.yaml")


def complete(value: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return a mapping with the defaults of the keys that it lacks."""
    declared = schema(kind)["properties"].items()
    defaults = {key: entry["default"] for key, entry in declared if "default" in entry}
    return copy.deepcopy(defaults | dict(value))


def read_dataset(path: str | os.PathLike[str], *required: str) -> dict[str, Any]:
    """Return a data set's description with defaults; raises YamlError, see :func:`yaml12.read`."""
    return complete(yaml12.read(path, "name", *required), "dataset")
