"""A plan as one page of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from craft.plan.cost import Cost, Fetch
from craft.plan.measure import Speed


@dataclass(frozen=True)
class Plan:
    """What a target takes: jobs by rule, costs by method, of features and of starting processes."""

    target: str
    suite: str
    cores: int
    gpus: int  # 0: computed on the cores
    jobs: Mapping[str, int]
    runs: Mapping[str, int]  # method -> runs to fit
    total_runs: int
    fits: Mapping[str, Cost]
    longest: Mapping[str, float]  # method -> seconds of its longest run
    images: int
    features: Cost
    starts: float
    fetch: Sequence[Fetch]
    weights: Mapping[str, int | None]  # backbone -> bytes, None where they are not known

    @property
    def at_a_time(self) -> int:
        """Jobs that compute at the same time."""
        return min(self.cores, self.gpus) if self.gpus else self.cores

    @property
    def busy(self) -> float:
        """Seconds of all that is estimated, one after the other."""
        return (
            sum(cost.seconds for cost in self.fits.values()) + self.features.seconds + self.starts
        )

    @property
    def wall(self) -> float:
        """Seconds at so many jobs at a time; the longest run cannot be shared out."""
        return max(self.busy / self.at_a_time, *self.longest.values(), 0.0)


def duration(seconds: float) -> str:
    """In the unit that a reader thinks in."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else f"{seconds:.1f} s"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count / 1e3:.0f} kB"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligned columns: the first to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[n]) for line in lines) for n in range(len(header))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _jobs(plan: Plan) -> list[str]:
    total = sum(plan.jobs.values())
    rows = [(rule, f"{count:,}") for rule, count in plan.jobs.items()]
    return [f"{total:,} jobs to run", *table(("rule", "jobs"), rows)]


def _fits(plan: Plan) -> list[str]:
    left = sum(plan.runs.values())
    done = f"{left:,} of {plan.total_runs:,} runs to make"
    if not left:
        return [done]
    everything = sum(plan.fits.values(), Cost())
    rows = [
        (
            method,
            f"{plan.runs[method]:,}",
            f"{cost.search:,}",
            f"{cost.other:,}",
            duration(cost.seconds),
            duration(plan.longest[method]),
        )
        for method, cost in plan.fits.items()
    ]
    longest = duration(max(plan.longest.values()))
    totals = (f"{everything.search:,}", f"{everything.other:,}", duration(everything.seconds))
    rows.append(("total", f"{left:,}", *totals, longest))
    unit = "GPU time" if plan.gpus else "core time"
    header = ("method", "runs", "search queries", "other queries", unit, "longest run")
    return [done, *table(header, rows)]


def _disk(plan: Plan) -> list[str]:
    fetched = sum(item.fetched or 0 for item in plan.fetch)
    trees = sum(item.kept or 0 for item in plan.fetch)
    made = plan.features.bytes + sum(cost.bytes for cost in plan.fits.values())
    lines = [
        f"fetch  {size(fetched)}, of data sets whose images are not there yet",
        f"keep   {size(trees)} of images, {size(plan.features.bytes)} of features, "
        f"{size(made - plan.features.bytes)} of runs",
    ]
    stated = sum(count or 0 for count in plan.weights.values())
    unstated = [name for name, count in plan.weights.items() if count is None]
    if stated:
        lines.insert(1, f"       and {size(stated)} of weights, unless the hub's cache has them")
    if unstated:
        lines.insert(1, f"       and weights of {', '.join(unstated)}, whose size is not known")
    unknown = [item.dataset for item in plan.fetch if item.fetched is None and not item.by_hand]
    by_hand = [item.dataset for item in plan.fetch if item.by_hand]
    if unknown:
        lines.append(f"       and {', '.join(unknown)}, whose size no source states")
    if by_hand:
        lines.append(f"       and {', '.join(by_hand)}, to be brought by hand (docs/datasets.md)")
    return lines


def page(plan: Plan, speed: Speed) -> str:
    """The plan in words and numbers."""
    where = f"{plan.gpus} GPU(s)" if plan.gpus else f"{plan.cores} cores"
    lines = [f"Plan of {plan.target} (suite {plan.suite}) on {where}", ""]
    lines += [*_jobs(plan), "", *_fits(plan), ""]
    lines += [
        f"{plan.images:,} images to encode: {duration(plan.features.seconds)}",
        *_disk(plan),
        "",
        f"time   {duration(plan.wall)} at {plan.at_a_time} at a time: {duration(plan.busy)} of "
        f"{'GPU and core' if plan.gpus else 'core'} time, {duration(plan.starts)} of it to start "
        "processes",
        "",
        f"Measured on {speed.machine}, at real sizes with random weights; longer on a machine that",
        "others use too. Left out: fetching, unpacking, rendering and listing of images. Search",
        "queries are those that the paper counts, the others refine and predict test images. Where",
        "only images that a split draws are encoded, the most that they can be is counted.",
    ]
    return "\n".join(lines)
