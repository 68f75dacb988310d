"""``craft tune``, ``craft export`` and ``craft predict``: models for a user's images."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from craft.apply.predict import Answers
    from craft.apply.tuned_model import TunedModel

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_CORES = click.option(
    "-c",
    "--cores",
    type=click.IntRange(1),
    default=lambda: len(os.sched_getaffinity(0)),
    show_default="all",
    help="Cores that decode and encode images; the results do not depend on it.",
)
_DEVICE = click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True
)


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option("--backbone", required=True, help="Name of a file in config/backbones.")
@click.option("--method", help="Method of the suite; default: Probe with few queries and a gate.")
@click.option("--shots", type=click.IntRange(1), default=16, show_default=True)
@click.option("--seed", type=click.IntRange(1), default=1, show_default=True)
@click.option("--out", type=_PATH, required=True, help="Folder of the tuned model.")
@click.option("--template", default="a photo of a {}.", show_default=True, help="Prompt template.")
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="Option of the learner."
)
@click.option(
    "--suite", type=_PATH, help="Suite that defines methods and options; default: the paper's."
)
@click.option("--work", type=_PATH, help="Folder that keeps splits, features and runs, as a suite.")
@_DEVICE
@_CORES
def tune(
    folder: Path,
    backbone: str,
    method: str | None,
    shots: int,
    seed: int,
    out: Path,
    template: str,
    options: tuple[str, ...],
    suite: Path | None,
    work: Path | None,
    device: str,
    cores: int,
) -> None:
    """Tune on the images in FOLDER: class folders, or train/ and test/ with class folders."""
    from craft.apply.single_run import Task, default_method
    from craft.apply.tune import tune as run
    from craft.console.bars import bars

    console = _console()
    if method is None:
        spelled = ", ".join(
            f"{key} {json.dumps(value)}" for key, value in default_method(shots)["options"].items()
        )
        console.print(f"method: Probe ({spelled}), the default; --method chooses another")
    base = {} if suite is None else {"base": suite}
    task = Task(
        images=folder.resolve(),
        name=_name(folder),
        backbone=backbone,
        method=method,
        options=dict(map(_option, options)),
        shots=shots,
        seed=seed,
        template=template,
        device=device,
        **base,
    )
    with bars(console):
        model = run(task, out, cores=cores, work=work, say=console.print)
    _report(model, out, console)


def _name(folder: Path) -> str:
    """Return a data set's name from that of its folder: letters, digits, and ``_.-``."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in folder.name)
    return kept.lstrip("_.-") or "images"


def _option(text: str) -> tuple[str, Any]:
    from craft.files import yaml12

    key, sign, value = text.partition("=")
    if not (key and sign):
        raise click.BadParameter(f"expected KEY=VALUE, got {text!r}", param_hint="--option")
    return key, yaml12.parse(value)


def _report(model: TunedModel, out: Path, console: Console) -> None:
    """Print the held-out accuracy, in all and by class."""
    import csv

    from rich.table import Table

    from craft.apply.confusion import CONFUSION_PLOT, PER_CLASS

    table = Table("class", "test images", "accuracy (%)", box=None)
    with (out / PER_CLASS).open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            table.add_row(row["class"], row["test_images"], row["accuracy"] or "-")
    console.print(table)
    before = model.zero_shot_accuracy
    console.print(
        f"accuracy {model.accuracy:.2f} % on {model.test_images} held-out images"
        + ("" if before is None else f" (the backbone alone: {before:.2f} %)")
        + f", after {sum(model.queries.values()):,} queries"
    )
    console.print(f"{out}: the tuned model; {out / CONFUSION_PLOT} shows the confusion matrix")


@click.command()
@click.argument("run", type=_FOLDER)
@click.option("--out", type=_PATH, required=True, help="Folder of the tuned model.")
@click.option("-d", "--directory", type=_FOLDER, default=".", help="Working folder of the suite.")
@click.option(
    "--push", metavar="OWNER/NAME", help="Upload it to a model hub; a new repository is private."
)
def export(run: Path, out: Path, directory: Path, push: str | None) -> None:
    """Export RUN, the folder of a scored run of any suite, as a tuned model."""
    from craft.apply.export import export as write

    model = write(run, out, directory)
    print(f"{out}: {model.method} on {model.dataset}, accuracy {model.accuracy:.2f} %")
    if push:
        from craft.apply.push import push as send

        print(send(out, push))


@click.command()
@click.argument("model", type=_FOLDER)
@click.argument("images", nargs=-1, type=_PATH)
@click.option(
    "--list", "listed", type=click.File(), help="File with one path on each line; - for stdin."
)
@click.option("--top", type=click.IntRange(1), default=5, show_default=True)
@click.option(
    "--csv", "table", type=_PATH, help="CSV file to write: path, rank, class, probability."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
@click.option("--server", metavar="URL", help="Address of a service; CRAFT_API_KEY holds its key.")
@click.option(
    "--weights", type=_PATH, help="Backbone's weights; default: those of its description."
)
@click.option("--trust-code", is_flag=True, help="Import a learner from outside this project.")
@_DEVICE
@_CORES
@click.pass_context
def predict(
    context: click.Context,
    model: Path,
    images: tuple[Path, ...],
    listed: Any,
    top: int,
    table: Path | None,
    as_json: bool,
    server: str | None,
    weights: Path | None,
    trust_code: bool,
    device: str,
    cores: int,
) -> None:
    """Print the most probable classes of IMAGES (files or folders) by the tuned MODEL.

    Unreadable files are reported and skipped; the exit status is then 1.
    """
    from craft.apply.predict import images_of
    from craft.apply.predict import predict as answer
    from craft.console.bars import bars

    if table and as_json:
        raise click.UsageError("--csv and --json: expected one of them, got both")
    given = [*images, *(Path(line) for line in (listed.read().splitlines() if listed else ()))]
    if not given:
        raise click.UsageError("expected IMAGES or --list, got neither")
    with bars(_console()):
        answers = answer(
            model,
            images_of(given),
            server=server,
            weights=weights,
            device=device,
            cores=cores,
            trust_code=trust_code,
        )
    if table:
        _write_table(answers, top, table)
    else:
        print(_as_json(answers, top) if as_json else _as_text(answers, top))
    for problem in answers.problems:
        print(f"skipped: {problem}", file=sys.stderr)
    if answers.problems:
        context.exit(1)


def _as_text(answers: Answers, top: int) -> str:
    return "\n".join(
        f"{path}\t" + "\t".join(f"{name} {probability:.3f}" for name, probability in best)
        for path, best in zip(answers.paths, answers.top(top), strict=True)
    )


def _as_json(answers: Answers, top: int) -> str:
    listed = [
        {
            "path": str(path),
            "classes": [{"class": name, "probability": value} for name, value in best],
        }
        for path, best in zip(answers.paths, answers.top(top), strict=True)
    ]
    return json.dumps(listed, indent=1, ensure_ascii=False)


def _write_table(answers: Answers, top: int, path: Path) -> None:
    import csv
    import io

    from craft.files.atomic import write_text

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["path", "rank", "class", "probability"])
    for image, best in zip(answers.paths, answers.top(top), strict=True):
        writer.writerows([image, rank, *each] for rank, each in enumerate(best, 1))
    write_text(path, buffer.getvalue())


def _console() -> Console:
    """Return standard error as a console that also shows warnings of the log."""
    from rich.console import Console
    from rich.logging import RichHandler

    console = Console(stderr=True, markup=False, highlight=False)
    shown = RichHandler(console=console, show_time=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[shown])
    return console
