"""The manifest of a data set: all its images, checked against its description and the disk.

``python -m craft.data.manifest --dataset config/datasets/D.yaml --root FOLDER --out D.csv``
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from craft.data.inspection import Report, inspect, untested
from craft.data.layouts import LAYOUTS, ManifestError
from craft.data.spelling import escaped, is_text, normal
from craft.data.user_images import OWN
from craft.files import receipts
from craft.files.datasets import PARTS, Image, Manifest
from craft.files.descriptions import read_dataset
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

#: Offending images named in an error.
_NAMED = 3

_LAYOUTS = {**LAYOUTS, **OWN}


def build(
    root: Path, facts: Mapping[str, Any], source: Mapping[int, str] | None = None
) -> Manifest:
    """List the images of a data set below ``root`` by its ``kind``, and check every claim.

    ``source`` maps labels to class names of the data set that a shifted test set is one of; images
    of the user's own get their labels from it. Raises ManifestError: unknown kind, a file with
    another checksum than pinned, counts that differ, labels with gaps or of other classes than the
    source's, an image listed twice or missing on disk.
    """
    if facts.get("kind") not in _LAYOUTS:
        raise ManifestError(
            f"kind: expected one of {', '.join(_LAYOUTS)}, got {facts.get('kind')!r}"
        )
    if facts["kind"] in OWN:
        manifest = Manifest(tuple(OWN[facts["kind"]](root, facts, source)))
    else:
        manifest = Manifest(tuple(LAYOUTS[facts["kind"]](root, facts)))
    check_paths(manifest.images)
    if source is not None:
        check_labels(manifest, facts, source)
    check_counts(manifest, facts)
    check_files(manifest.images, image_root(root, facts))
    return manifest


def check_tree(root: Path, facts: Mapping[str, Any]) -> None:
    """Raise an error for a missing tree, with instructions."""
    files = [facts["split"]["file"]] if "split" in facts else []
    files += [part["file"] for part in facts.get("lists", {}).values() if isinstance(part, Mapping)]
    files += [facts["class_names"]] if "class_names" in facts else []
    folders = facts.get("folders", {"": "."}).values()
    needed = files + [str(Path(facts["images"]) / folder) for folder in folders]
    if missing := [path for path in needed if not (root / path).exists()]:
        raise ManifestError(
            f"{facts['name']}: {root} lacks {', '.join(missing)}. Put the data set there, laid out "
            f"as CoOp does: {', '.join(needed)} below {root}"
        )


def image_root(root: Path, facts: Mapping[str, Any]) -> Path:
    """Return the folder that a manifest's paths are relative to."""
    return root if facts.get("kind") in OWN else root / facts["images"]


def reading(facts: Mapping[str, Any]) -> str:
    """Return how the data set's files become pixels (craft.data.rgb)."""
    return facts.get("reading") or ("shown" if facts.get("kind") in OWN else "stored")


def check_paths(images: Sequence[Image]) -> None:
    """Refuse images listed twice (a leak between parts) and paths that leave the image folder."""
    counts = Counter(normal(image.path) for image in images)
    _refuse([path for path, count in counts.items() if count > 1], "listed more than once")
    outside = [p for p in counts if PurePosixPath(p).is_absolute() or ".." in p.split("/")]
    _refuse(outside, "with a path outside the image folder")
    foreign = [escaped(path) for path in counts if not is_text(path)]
    _refuse(foreign, "with a name that is not UTF-8")


def check_labels(manifest: Manifest, facts: Mapping[str, Any], source: Mapping[int, str]) -> None:
    """Raise an error for a shifted test set whose class names differ from its source's."""
    for label, name in manifest.class_names().items():
        if source.get(label) != name:
            raise ManifestError(
                f"{facts['name']}: class {label} is {name!r}, of its source {facts['source']} "
                f"{source.get(label)!r}"
            )


def check_counts(manifest: Manifest, facts: Mapping[str, Any]) -> None:
    """Compare classes and images by part with the description; name every difference."""
    names = manifest.class_names()
    found = {"classes": len(names)} | {part: len(manifest.part(part)) for part in PARTS}
    per_class = Counter(image.label for image in manifest.part("train"))
    found["smallest"] = min((per_class[label] for label in names), default=0)
    differences = [
        f"{key}: {found[key]} found, {expected} expected"
        for key, expected in facts.get("counts", {}).items()
        if found[key] != expected
    ]
    if differences:
        raise ManifestError(f"{facts['name']}: " + "; ".join(differences))
    if "class_indices" in facts and (other := set(names) ^ set(facts["class_indices"])):
        raise ManifestError(f"{facts['name']}: not its classes of the source: {sorted(other)[:5]}")
    if "source" not in facts and list(names) != list(range(len(names))):
        gap = next(label for label in range(len(names)) if label not in names)
        raise ManifestError(f"{facts['name']}: labels are not consecutive; none is {gap}")


def check_files(images: Sequence[Image], folder: Path) -> None:
    """Refuse images that are not on disk."""
    # One listing per folder: a look at each of 1.3 million files takes minutes on a network disk.
    parents = {(folder / image.path).parent for image in images}
    present = {
        parent: {path.name for path in parent.iterdir()} if parent.is_dir() else set()
        for parent in parents
    }
    paths = ((folder / image.path, image.path) for image in images)
    _refuse([p for path, p in paths if path.name not in present[path.parent]], "not in", folder)


def _refuse(paths: list[str], why: str, where: Path | str = "") -> None:
    if paths:
        rest = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        named = ", ".join(paths[:_NAMED])
        raise ManifestError(f"{len(paths)} images {why} {where}".rstrip() + f": {named}{rest}")


def listed(root: str | Path, facts: Mapping[str, Any]) -> list[Path]:
    """Files that say which images a data set has, where a person or the suite writes them."""
    if facts["kind"] == "mini":
        return [Path(root) / "split.json"]
    if facts["kind"] in OWN:
        return [Path(root) / facts[key] for key in ("list", "classes") if key in facts]
    return []  # a published list, verified with its archive


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the manifest of a data set and, beside it as JSON, a report on its images."""
    parser = argparse.ArgumentParser(prog="python -m craft.data.manifest", description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="data-set YAML")
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    parser.add_argument(
        "--source", type=Path, nargs="?", help="manifest of a shifted test set's source"
    )
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    parser.add_argument("--threads", type=int, default=1, help="cores that decode own images")
    receipts.add_argument(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    facts = read_dataset(options.dataset, "kind")
    if facts.get("kind") not in OWN:
        check_tree(options.root, facts)
    if ("source" in facts) != bool(options.source):
        parser.error("--source names the manifest of a shifted test set's source, and of no other")
    source = Manifest.read(options.source).class_names() if options.source else None
    manifest = build(options.root, facts, source)
    report = Report(untested(manifest))
    if facts["kind"] in OWN:
        folder, skip = image_root(options.root, facts), facts.get("unreadable") == "skip"
        manifest, report = inspect(manifest, folder, reading(facts), options.threads, skip=skip)
    for line in report.lines():
        log.warning("%s: %s", facts["name"], line)
    manifest.write(options.out)
    report.write(options.out.with_suffix(".json"))
    read = [*listed(options.root, facts), *([options.source] if options.source else [])]
    receipts.write([options.out, options.out.with_suffix(".json")], options.receipt, read)
    log.info("%s: %d images in %s", facts["name"], len(manifest.images), options.out)


if __name__ == "__main__":
    run_command(main)
