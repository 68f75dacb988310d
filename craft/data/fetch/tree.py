"""How a data set's tree comes to be: there already, or fetched, verified, unpacked and counted.

Downloads go to ``DATA/downloads/D`` for a tree ``DATA/D``, where files that somebody put there are
found too. The tree appears whole, by one rename.
"""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

from craft.data.fetch import imagenet
from craft.data.fetch.archive import Limits, UnpackError
from craft.data.fetch.file import Hosts, SpaceError, filename, obtain
from craft.data.fetch.imagenet_names import check_class_names, write_class_names
from craft.data.fetch.sources import Policy, SourceError, address
from craft.data.fetch.unpack import unpack
from craft.data.layouts import LAYOUTS, ManifestError
from craft.data.manifest import build, check_tree, image_root
from craft.files.atomic import replacing, sha256
from craft.files.descriptions import read_dataset
from craft.files.locks import locked
from craft.runtime.signals import Ended

log = logging.getLogger(__name__)

OFFLINE = (
    "Without a network the embedded suite runs as it is: "
    "snakemake all --configfile config/mini.yaml"
)


class FetchError(RuntimeError):
    """A data set cannot be had; says what was tried and what to do."""


class _Unavailable(RuntimeError):
    """Why a tree is not complete, where no further source would change it."""


def acquire(
    description: Path, root: Path, *, keep: bool = False, policy: Policy | None = None
) -> dict[str, Any]:
    """Make the tree ``root`` of the data set that a YAML describes complete; returns its origin.

    A complete tree is left alone. ``keep`` leaves the archive in the folder of downloads.
    Raises FetchError.
    """
    facts = read_dataset(description, "kind")
    acquisition = _Acquisition(facts, description, root, keep, policy or Policy())
    if acquisition.incomplete(root) is None:
        return acquisition.origin("present")  # perhaps on a disk that nobody may write to
    try:
        with locked(root.parent / f".{root.name}.lock"):
            return acquisition.run()
    except OSError as error:
        raise FetchError(f"{facts['name']}: {error}") from error


class _Acquisition:
    """One data set's way to disk; the caller holds the lock of its tree."""

    def __init__(
        self, facts: dict[str, Any], description: Path, root: Path, keep: bool, policy: Policy
    ) -> None:
        self.facts, self.description, self.root = facts, description, root
        self.keep, self.policy = keep, policy
        self.downloads = root.parent / "downloads" / root.name
        # Beside the tree itself where ``root`` is a link: a rename crosses no disks.
        self.goal = root.resolve()
        self.staging = self.goal.with_name(f".{self.goal.name}.unpacking")
        self.split = facts.get("split", {})
        self.table = description.parent / facts["class_table"] if "class_table" in facts else None
        sources = facts.get("sources", ())
        self.sources = [source for source in sources if source["kind"] != "manual"]
        self.manual = [source for source in sources if source["kind"] == "manual"]
        self.hosts = Hosts(map(address, [*self.sources, *self.split.get("sources", ())]))
        self.tried: list[str] = []

    def run(self) -> dict[str, Any]:
        """Return the origin of the tree, complete when this returns; raises FetchError."""
        try:
            for source in self.manual:
                imagenet.prepare(self.root, self.facts, source["archives"])
            if self.root.is_dir():
                self._add_small_files(self.root)
            reason = self.incomplete(self.root)
            if reason is None:
                return self.origin("present")
            return self._fetch(reason)
        except (_Unavailable, SpaceError, imagenet.CopyError, ManifestError) as error:
            raise FetchError(self._report(str(error))) from error
        except Ended as signal:
            signal.add_note(f"what came is kept in {self.downloads}")
            raise
        finally:
            shutil.rmtree(self.staging, ignore_errors=True)

    def _fetch(self, reason: str) -> dict[str, Any]:
        if self.manual or not self.sources:
            raise _Unavailable(reason)
        self._refuse_occupied(reason)
        for source in self.sources:
            try:
                return self._from(source)
            except (SourceError, UnpackError) as error:
                self.tried.append(str(error))
                log.warning("%s", error)
        raise _Unavailable("none of its sources gave the tree")

    def _from(self, source: dict[str, Any]) -> dict[str, Any]:
        shutil.rmtree(self.staging, ignore_errors=True)
        self.staging.mkdir(parents=True)
        # First, as it is small and says which images are wanted.
        self._add_small_files(self.staging)
        archive, brought = obtain(
            source,
            self.downloads,
            self.hosts,
            unpacks=(self.staging, source.get("unpacked")),
            policy=self.policy,
        )
        try:
            self._unpack(archive, source)
        except UnpackError:
            if brought:
                archive.unlink(missing_ok=True)
            raise
        self._publish()
        if brought and not self.keep:
            archive.unlink(missing_ok=True)
        return self.origin(address(source))

    def _unpack(self, archive: Path, source: dict[str, Any]) -> None:
        """Fill the staging folder with a whole tree; raises UnpackError."""
        log.info("unpacking %s", archive)
        limits = Limits.of(archive, self._images(), source.get("unpacked"))
        wanted = self._listed() if self.facts.get("only_listed") else None
        unpack(
            archive,
            self.staging,
            source["unpack"],
            limits,
            nested=source.get("nested"),
            wanted=wanted,
        )
        if reason := self.incomplete(self.staging):
            raise UnpackError(f"{address(source)}: unpacked, but {reason}")

    def _add_small_files(self, folder: Path) -> None:
        """Put the published split and the class names where they are missing."""
        if self.table and not (folder / self.facts["class_names"]).exists():
            write_class_names(folder / self.facts["class_names"], self.table)
        if not self.split:
            return
        path = folder / self.split["file"]
        if path.exists():
            # Another split would silently give numbers that nothing can be compared with.
            if self.split.get("sha256") not in (None, sha256(path)):
                raise _Unavailable(f"{path} is not the published split; move it away")
            return
        with replacing(path) as temporary:
            shutil.copyfile(self._obtain_split(), temporary)

    def _obtain_split(self) -> Path:
        pins = {key: self.split[key] for key in ("bytes", "sha256") if key in self.split}
        for source in self.split.get("sources", ()):
            named = {**source, **pins, "filename": self.split["file"]}
            try:
                return obtain(named, self.downloads, self.hosts, policy=self.policy)[0]
            except SourceError as error:
                self.tried.append(str(error))
                log.warning("%s", error)
        # Archives were not asked for yet; a reader wants to know what else is out of reach.
        self.tried += filter(None, map(self.hosts.problem, map(address, self.sources)))
        raise _Unavailable(
            f"the published split {self.split['file']} is missing, and no other is ever drawn"
        )

    def incomplete(self, folder: Path) -> str | None:
        """Return what a tree lacks, None if it is complete."""
        try:
            check_tree(folder, self.facts)
            build(folder, self.facts)
            if self.table:
                check_class_names(folder / self.facts["class_names"], self.table)
        except ManifestError as error:
            return str(error)
        return None

    def _listed(self) -> set[str]:
        """Paths below the data set's folder of the images that the split lists."""
        folder = image_root(Path(), self.facts)
        images = LAYOUTS[self.facts["kind"]](self.staging, self.facts)
        return {(folder / image.path).as_posix() for image in images}

    def _images(self) -> int:
        return sum(self.facts["counts"].get(part, 0) for part in ("train", "val", "test"))

    def _refuse_occupied(self, reason: str) -> None:
        """Stop before the download where the user's own files are in the way."""
        tops = {
            Path(goal).parts[:1] for source in self.sources for goal in source["unpack"].values()
        }
        for top in sorted(tops):
            path = self.root.joinpath(*top)
            if top and path.is_dir() and any(path.iterdir()):
                raise _Unavailable(f"{path} is there, but {reason}; complete it or move it away")

    def _publish(self) -> None:
        os.sync()  # else a power cut could leave the name of a file without its content
        if not self.goal.exists():
            os.rename(self.staging, self.goal)
            return
        # Files before folders: the folder of images is what makes a tree look complete.
        for path in sorted(self.staging.iterdir(), key=lambda path: (path.is_dir(), path.name)):
            goal = self.goal / path.name
            if goal.is_dir():
                goal.rmdir()  # empty, as _refuse_occupied found
            os.replace(path, goal)

    def origin(self, source: str) -> dict[str, Any]:
        return {"dataset": self.facts["name"], "source": source, "images": self._images()}

    def _report(self, reason: str) -> str:
        """Everything that a reader needs to go on without this program."""
        name = f"{self.facts['name']}: "
        lines = [name + reason.removeprefix(name)]
        if self.tried:
            lines += ["Tried:", *(f"  - {text}" for text in self.tried)]
        for source in self.manual:
            lines.append(source["instructions"].strip().replace("{root}", str(self.root)))
        files = [(filename(source), source) for source in self.sources]
        if self.split.get("sources"):
            files.insert(0, (self.split["file"], {**self.split["sources"][0], **self.split}))
        if files:
            lines.append(f"A file put into {self.downloads} by hand is taken from there:")
            for file, source in files:
                size = f"{source['bytes']:,} bytes" if source.get("bytes") else "size not known"
                lines.append(f"  - {file} ({size}), from {address(source)}")
        return "\n".join([*lines, OFFLINE] if self.tried or self.manual else lines)
