"""Class names in prompts: names that share a prompt, and words that a model does not know."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from craft.data.spelling import composed


def cleaned(name: str) -> str:
    """Return a name as CLIP's tokenizer cleans it, underscores read as spaces.

    Names that come to one text here have the same tokens; the reverse need not hold.
    """
    text = html.unescape(html.unescape(composed(name.replace("_", " "))))
    return " ".join(text.split()).lower()


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that no prompt can tell apart, in order of their first."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[cleaned(name)].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def with_unknown_words(names: Sequence[str], words: Iterable[str]) -> list[str]:
    """Return the names with a word that is not among ``words``."""
    known = set(words)
    return [name for name in names if not set(re.findall(r"\w+", cleaned(name))) <= known]
