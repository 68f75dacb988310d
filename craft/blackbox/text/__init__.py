"""The text side: prompts as tokens, and towers that turn contexts and class names into features.

``TextTower`` shares prefixes of class names; ``full_length`` supports all other models.
"""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """Return ``TextTower`` or ``DTYPES``, loaded when asked for: prompts alone need no tower."""
    if name not in ("TextTower", "DTYPES"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("craft.blackbox.text.prefix_sharing"), name)
