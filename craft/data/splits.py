"""Few-shot training sets by CoOp's protocol: the lists that its authors published, reproduced.

``python -m craft.data.splits --split split_zhou_EuroSAT.json --shots 16 --seed 1`` prints the
drawn images, one relative path per line. With ``--manifest`` it reads a manifest instead, and with
``--out-pattern`` it writes one JSON per number of shots and seed.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from craft.runtime.command import run_command

if TYPE_CHECKING:
    from craft.files.receipts import Job

log = logging.getLogger(__name__)


class SplitError(ValueError):
    """A few-shot set cannot be drawn."""


def draw(labels: Sequence[int], shots: int, seed: int, *, repeat: bool = False) -> list[int]:
    """Return positions in ``labels`` of ``shots`` items per class, by CoOp's protocol.

    Classes come in order of their first item; each is sampled without replacement from one stream
    seeded once. Raises SplitError for a class with fewer items than ``shots``, unless ``repeat``
    asks for sampling such a class with replacement, as CraFT's released code does.
    """
    if shots < 1:
        raise SplitError(f"shots: expected 1 or more, got {shots}")
    classes: dict[int, list[int]] = {}
    for position, label in enumerate(labels):
        classes.setdefault(label, []).append(position)
    generator = random.Random(seed)
    drawn: list[int] = []
    for label, positions in classes.items():
        if len(positions) >= shots:
            drawn += generator.sample(positions, shots)
        elif repeat:
            drawn += generator.choices(positions, k=shots)
        else:
            raise SplitError(
                f"class {label} has {len(positions)} training images, fewer than {shots} shots "
                "(option repeat samples it with replacement)"
            )
    return drawn


def read_train_part(path: Path) -> tuple[list[str], list[int]]:
    """Return paths and labels of the training part of a CoOp split JSON; raises SplitError."""
    try:
        items = json.loads(path.read_text(encoding="utf-8"))["train"]
        return [str(item[0]) for item in items], [int(item[1]) for item in items]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise SplitError(f"{path}: not a CoOp split file ({error!r})") from error


def write_splits(
    manifest: Path,
    dataset: str,
    shots: Sequence[int],
    seeds: Sequence[int],
    pattern: str,
    *,
    repeat: bool = False,
    receipt: Job | None = None,
) -> None:
    """Write a datasets.Split for each number of shots and seed to ``pattern`` with both filled in.

    Raises SplitError, also for a pattern that would write two splits to one file.
    """
    # The records bring numpy along, which printing a split's paths does not need.
    from craft.files import receipts
    from craft.files.datasets import Manifest, Split

    for placeholder, values in (("{shots}", shots), ("{seed}", seeds)):
        if len(set(values)) > 1 and placeholder not in pattern:
            raise SplitError(f"--out-pattern {pattern!r} lacks {placeholder} for {len(values)}")
    contents = Manifest.read(manifest)
    train, names = contents.part("train"), contents.class_names()
    labels = [image.label for image in train]
    counts = Counter(labels)
    for k in shots:
        small = [f"{name} ({counts[label]})" for label, name in names.items() if counts[label] < k]
        if small and repeat:
            log.warning("%s, %d shots: drawn with replacement: %s", dataset, k, ", ".join(small))
        for seed in seeds:
            drawn = draw(labels, k, seed, repeat=repeat)
            out = pattern.replace("{shots}", str(k)).replace("{seed}", str(seed))
            Split(
                dataset=dataset,
                shots=k,
                seed=seed,
                paths=tuple(train[position].path for position in drawn),
                labels=tuple(labels[position] for position in drawn),
                class_names=tuple(names.values()),
            ).write(out)
            receipts.write([out], receipt, [manifest])


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw few-shot training sets."""
    parser = argparse.ArgumentParser(prog="python -m craft.data.splits", description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--split", type=Path, help="CoOp split JSON; the paths are printed")
    source.add_argument("--manifest", type=Path, help="manifest CSV; files are written")
    parser.add_argument("--dataset", help="name of the data set (with --manifest)")
    parser.add_argument("--shots", type=int, nargs="+", required=True, help="images per class")
    parser.add_argument("--seed", type=int, nargs="+", required=True, help="seeds of the draw")
    parser.add_argument("--out-pattern", help="files to write, {shots} and {seed} filled in")
    parser.add_argument(
        "--repeat", action="store_true", help="draw a class that is too small with replacement"
    )
    parser.add_argument("--receipt", metavar="KEY", help="keep receipts with this key")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.manifest:
        if not (options.dataset and options.out_pattern):
            parser.error("--manifest needs --dataset and --out-pattern")
        from craft.files.receipts import Job  # brings numpy, as the records do

        write_splits(
            options.manifest,
            options.dataset,
            options.shots,
            options.seed,
            options.out_pattern,
            repeat=options.repeat,
            receipt=Job(options.receipt, parser.prog) if options.receipt else None,
        )
        return
    if options.out_pattern or len(options.shots) != 1 or len(options.seed) != 1:
        parser.error("--split prints one list: give one --shots, one --seed, no --out-pattern")
    paths, labels = read_train_part(options.split)
    for position in draw(labels, options.shots[0], options.seed[0], repeat=options.repeat):
        print(paths[position])


if __name__ == "__main__":
    run_command(main)
