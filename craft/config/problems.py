"""Problems of a configuration: their structure and their wording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from craft.files.yaml12 import YamlError
from craft.runtime.messages import near, shown


class Words(str):
    """A description of a value, in place of the value itself."""


#: Value of a key that is missing.
NOTHING = Words("nothing")


class Problem(NamedTuple):
    """An invalid value: the key's path in its file, what was expected, and what was found.

    The caller of a check sets ``source``, the file or files.
    """

    path: str
    expected: str
    value: Any
    hint: str = ""
    source: str = ""

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, Words) else shown(self.value)
        text = f"expected {self.expected}, got {value}"
        parts = ": ".join(filter(None, (self.source, self.path, text)))
        return f"{parts}; {self.hint}" if self.hint else parts


class ConfigError(ValueError):
    """All problems of a configuration, one line each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple({str(problem): problem for problem in problems}.values())
        count = f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}"
        lines = "\n".join(f"- {problem}" for problem in self.problems)
        super().__init__(f"{count} in the configuration\n{lines}")


def of_file(source: str, problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems with their file."""
    return [problem._replace(source=problem.source or source) for problem in problems]


def unreadable(error: YamlError) -> Problem:
    """Return the problem of a file that is not YAML."""
    return Problem(error.where, "YAML 1.2", Words(error.why), source=error.path)


def check_name(path: str, name: str, known: Iterable[str]) -> Iterator[Problem]:
    """Yield the problem of a name that is not among the known ones."""
    if name not in (names := list(known)):
        yield Problem(path, f"one of {', '.join(names)}", name, near(name, names))
