"""Names that one key of a configuration declares and others refer to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from craft.runtime.messages import unknown


class Names(NamedTuple):
    """What other keys may name: few-shot data sets, backbones, methods.

    None where the key that declares them was refused: whoever mends it would change the right
    names too, if these were called wrong.
    """

    datasets: tuple[str, ...] | None
    backbones: tuple[str, ...] | None
    methods: tuple[str, ...] | None

    @classmethod
    def of(cls, given: Mapping[str, Any], files: Mapping[str, Sequence[str]]) -> Names:
        """Names in a configuration as it was ``given``, right or wrong.

        ``files`` are the names that there are files of: a data set or a backbone that is among
        them may be what a wrong entry of the list stands for.
        """
        lists = []
        for key in ("datasets", "backbones"):
            entries = given.get(key)
            if not isinstance(entries, list) or not entries:
                lists.append(None)
                continue
            wrong = [entry for entry in entries if entry not in files[key]]
            named = [entry for entry in entries if isinstance(entry, str)]
            lists.append(tuple(dict.fromkeys([*named, *(files[key] if wrong else ())])))
        methods = given.get("methods")
        lists.append(tuple(methods) if isinstance(methods, Mapping) and methods else None)
        return cls(*lists)

    def refuse(self, key: str, name: str, where: str) -> Iterator[str]:
        """A problem of a ``name`` that is none of a ``key``'s, at ``where``."""
        known = getattr(self, key)
        if known is not None and name not in known:
            yield f"{where}: {unknown(name, known)}"
