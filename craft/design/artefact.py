"""Descriptions of tables and figures, apart from their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from craft.files import paths

#: Suites that rebuild the paper's artefacts: in full, and in miniature.
REBUILDS = ("paper", "mini")

#: The report's description of a CSV of means.
MEANS = (
    "Each row of the CSV is a cell of the printed table. It has ``mean`` and ``std`` (sample "
    "standard deviation) over ``seeds`` of the ``expected`` runs, and ``published`` and "
    "``difference`` (ours minus published) where the paper has the number. A ``note`` names "
    "missing runs and known errors in print."
)


@dataclass(frozen=True)
class Artefact:
    """A table or figure.

    ``rows`` are methods that a suite compares, values of a swept option, differences between the
    modes, or data sets; ``shots`` is the number of shots that it shows. ``make`` is the function
    that makes the table, or the panels of the figure, as ``module:function``.

    ``caption`` is printed above a table; fields in braces are filled in from its runs
    (:func:`craft.report.tables.labels.caption`). ``about`` is the report's description in
    reStructuredText, and ``about_paper`` an addition for the paper's suite.
    """

    name: str
    kind: Literal["table", "figure"]
    place: str  # where the paper prints it; empty where it does not
    title: str
    rows: Literal["methods", "values", "differences", "data sets"]
    shots: Literal["none", "one", "several"]
    make: str
    about: str
    caption: str = ""
    about_paper: str = ""
    columns: Literal["data sets", "test sets", "shots", "values", "own"] = "own"
    marks: tuple[str, ...] = ()  # headings of what is printed of a row beside its name
    order: tuple[str, ...] = ()  # of its methods in print; others follow in the suite's order
    measured: bool = False  # holds times and memory: run again, it has other numbers
    shifted: bool = False  # learners of the shift's source are tested on its targets too
    curve: bool = False  # reads every point of a run, not its end alone
    priced: bool = False  # asks for the suite's prices
    means: bool = False  # shows means that its methods' authors print

    @property
    def printed(self) -> str:
        """Return the stem of the file of printed numbers; empty if there is none."""
        return "means" if self.means else self.place.lower().replace(" ", "")

    @property
    def of_source(self) -> bool:
        """Return whether it shows learners of the shift's source alone."""
        return self.columns == "test sets"

    @property
    def called(self) -> str:
        """Return its place in the paper, or that it has none."""
        return self.place or f"Own {self.kind}"

    @property
    def files(self) -> tuple[str, ...]:
        """Return its files below the results; the first is the one that targets name."""
        table = self.kind == "table"
        prefix = (paths.TABLE if table else paths.FIGURE).format(artefact=self.name)
        ends = ("csv", "md", "tex", "html") if table else ("pdf", "png", "csv")
        return tuple(f"{prefix}.{end}" for end in ends)

    def printed_files(self, folder: str | None) -> list[str]:
        """Return the files below ``folder`` with the printed numbers and the notes on them."""
        names = (self.printed, "notes") if folder and self.printed else ()
        return [f"{folder}/{name}.csv" for name in names]

    @property
    def module(self) -> str:
        """Return the module of the function that makes it."""
        return self.make.partition(":")[0]

    def heading(self, suite: str) -> str:
        """Return its name, with its place in the paper if the suite rebuilds the paper."""
        name = self.name.replace("_", " ")
        return f"{self.called}: {name}" if suite in REBUILDS else name

    def origin(self, suite: str) -> str:
        """Return its origin and its suite, in words."""
        if suite not in REBUILDS:
            return f"suite: {suite}"
        place = f"{self.place} of the paper" if self.place else "not in the paper"
        return f"{place}; suite: {suite}"

    def described(self, suite: str) -> str:
        """Return the report's caption in a suite, in reStructuredText."""
        place = f"{self.called}, " if suite in REBUILDS else ""
        more = f" {self.about_paper}" if suite == "paper" and self.about_paper else ""
        return f"**{place}{self.title}.** {self.about}{more}"
