"""A plan as one page of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tabulate import tabulate

from craft.plan.cost import Bill, Cost, starts
from craft.runtime.progress import duration


@dataclass(frozen=True)
class Plan:
    """The cost of a target."""

    target: str
    suite: str
    at_a_time: int  # jobs that compute at the same time
    jobs: Mapping[str, int]
    runs: Mapping[str, int]  # method -> runs to fit
    total_runs: int
    fits: Mapping[str, Cost]
    longest: float  # seconds of the longest run
    images: int
    features: Cost
    pixels: Cost
    records: int  # finished runs that the seconds are corrected by
    fetch: Mapping[str, Mapping[str, Any]]  # data set -> its source
    weights: Mapping[str, int | None]  # backbone -> bytes, None where they are not known
    bills: Mapping[str, Bill] = field(default_factory=dict)  # backbone -> what its service charges

    @property
    def busy(self) -> float:
        """Return the estimated seconds of all jobs one after the other."""
        fits = sum(cost.seconds for cost in self.fits.values())
        return fits + self.features.seconds + starts(self.jobs)

    @property
    def wall(self) -> float:
        """Return the seconds with so many jobs at a time; the longest run is a lower bound."""
        return max(self.busy / self.at_a_time, self.longest)


def size(count: float) -> str:
    """Return bytes in decimal units."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1e3:.0f} kB"


def summary(plan: Plan) -> str:
    """Return the plan in words and numbers."""
    basis = f"this suite's {plan.records:,} finished runs" if plan.records else "one core of a CPU"
    lines = [
        f"Plan of {plan.target} (suite {plan.suite}), jobs at a time: {plan.at_a_time}",
        "",
        f"{sum(plan.jobs.values()):,} jobs",
        _table(("rule", "jobs"), [(rule, f"{count:,}") for rule, count in plan.jobs.items()]),
        "",
        f"{sum(plan.runs.values()):,} of {plan.total_runs:,} runs to fit",
        *_fits(plan),
        "",
        f"encode {plan.images:,} images: {duration(plan.features.seconds)}",
        *_disk(plan),
        *_bills(plan),
        "",
        f"time   {duration(plan.wall)}, {duration(plan.busy)} one job after the other",
        f"       estimated from times of {basis}; fetching and rendering left out",
    ]
    return "\n".join(lines)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    align = ["left", *["right"] * (len(header) - 1)]
    text = tabulate(rows, header, "plain", colalign=align, disable_numparse=True)
    return "\n".join(f"  {line}" for line in text.splitlines())


def _fits(plan: Plan) -> list[str]:
    if not plan.runs:
        return []
    costs = {**plan.fits, "total": sum(plan.fits.values(), Cost())}
    runs = {**plan.runs, "total": sum(plan.runs.values())}
    rows = [
        (
            name,
            *(f"{count:,}" for count in (runs[name], cost.search, cost.other, cost.encoded)),
            duration(cost.seconds),
        )
        for name, cost in costs.items()
    ]
    table = _table(("method", "runs", "search queries", "other queries", "encodings", "time"), rows)
    return [table, f"  longest run: {duration(plan.longest)}"]


def _bills(plan: Plan) -> list[str]:
    return [
        f"price  {bill.price:,.2f} {bill.currency} of {name}: {bill.queries:,} queries, "
        f"{bill.scorings:,} image scorings"
        for name, bill in plan.bills.items()
    ]


def _disk(plan: Plan) -> list[str]:
    sources = plan.fetch
    fetched = {name: source.get("bytes") or 0 for name, source in sources.items()}
    lines = [f"{size(sum(fetched.values()))} of data sets"]
    if known := sum(count or 0 for count in plan.weights.values()):
        lines.append(f"{size(known)} of weights, unless the hub's cache has them")
    by_hand = [name for name, source in sources.items() if source["kind"] == "manual"]
    unknown = [name for name, count in fetched.items() if not count and name not in by_hand]
    unknown += [f"weights of {name}" for name, count in plan.weights.items() if count is None]
    lines += [f"{name} by hand (docs/datasets.md)" for name in by_hand]
    lines += [f"{name} (unknown size)" for name in unknown]
    trees = sum(source.get("unpacked") or fetched[name] for name, source in sources.items())
    runs = sum(cost.bytes for cost in plan.fits.values())
    kept = f"{size(trees)} of images, {size(plan.features.bytes)} of features, {size(runs)} of runs"
    kept += f", {size(plan.pixels.bytes)} of decoded images" if plan.pixels.bytes else ""
    return [f"{'fetch' * (not n):6} {part}" for n, part in enumerate(lines)] + [f"keep   {kept}"]
