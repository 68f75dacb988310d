"""Image sets: encoded at upload and kept as features, separately for each key.

A selection is an image set of rows of another one, so that no image is sent twice.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from craft.blackbox.images.partial import Batch
from craft.client.wire import digest
from craft.files.atomic import read_tensors, sha256, write_tensors
from craft.service.charges import BudgetSpent
from craft.service.database import Database
from craft.service.keys import Key
from craft.service.model import Model
from craft.service.tasks import OWNER

#: Bytes of features that stay in memory.
_HELD = 256 << 20


class ImageSetError(ValueError):
    """A request for an image set is invalid."""


class OtherContent(ImageSetError):
    """The name belongs to other content."""


@dataclass(frozen=True)
class ImageSet:
    """An image set that a key may use."""

    key: str  # whose it is
    name: str
    digest: str  # of the images, and of which rows of them
    revision: str  # of the model that encoded them
    images: int
    content: Mapping[str, Any]  # a selection's "of", "rows" and "norm"; else nothing


class ImageSets:
    """The image sets of a service: rows in its database, features in a folder beside it."""

    def __init__(self, database: Database, model: Model, most: int) -> None:
        self._database, self._model, self._most = database, model, most
        self._folder = database.path.with_name(f"{database.path.name}.images")
        self._held: OrderedDict[Path, tuple[torch.Tensor, torch.Tensor]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: str, name: str) -> ImageSet | None:
        """Return an image set of a key or of the owner by name; None if there is none."""
        with self._database.reading() as opened:
            row = opened.execute(
                "SELECT * FROM image_sets WHERE name = ? AND key IN (?, ?)"
                " ORDER BY key DESC LIMIT 1",
                (name, OWNER, key),
            ).fetchone()
        return _image_set(row) if row else None

    def of(self, key: str) -> list[ImageSet]:
        """Return all image sets of a key and of the owner, the owner's first."""
        with self._database.reading() as opened:
            rows = opened.execute(
                "SELECT * FROM image_sets WHERE key IN (?, ?) ORDER BY key, name", (OWNER, key)
            ).fetchall()
        return [_image_set(row) for row in rows]

    def upload(
        self, key: Key | None, name: str, folder: Path, files: Sequence[str], reading: str
    ) -> tuple[ImageSet, bool]:
        """Encode the files of a folder; return the image set, and whether it is new.

        ``key`` None is the owner. Raises ImageError, ImageSetError, OtherContent, BudgetSpent.
        """
        whose = key.name if key else OWNER
        sums = [part for file in files for part in (file, sha256(folder / file))]
        content = digest(reading, *sums)
        known = self._of_name(whose, name)
        if known and known.revision == self._model.revision and known.digest == content:
            return known, False
        if known and known.digest != content and key:
            raise OtherContent(
                f"image set {name!r}: expected the same images, got others; choose another name"
            )
        if key and not known:
            self._require_room(whose)
            _require_budget(self._database, key, len(files))
        batch = self._model.encode(folder, files, reading)
        return self.keep(whose, name, content, batch, charged=key if not known else None), True

    def keep(
        self, whose: str, name: str, content: str, batch: Batch, charged: Key | None = None
    ) -> ImageSet:
        """Store unit features (N, E) and norms (N,) as an image set; ``content`` is its hash."""
        features, norms = batch
        made = ImageSet(whose, name, content, self._model.revision, len(norms), {})
        write_tensors(self._path(made), {"features": features, "norms": norms}, {})
        # The same transaction charges and stores: a server killed before it charges nothing.
        self._store(made, charged)
        return made

    def select(
        self, key: Key, name: str, of: str, rows: Sequence[int], norm: str
    ) -> tuple[ImageSet, bool]:
        """Select rows of an image set; return the selection, and whether it is new.

        Raises ImageSetError and OtherContent.
        """
        source = self.find(key.name, of)
        if source is None or source.content:
            raise ImageSetError(f"of: expected an image set that was uploaded, got {of!r}")
        if not rows or min(rows) < 0 or max(rows) >= source.images:
            raise ImageSetError(f"rows: expected numbers of 0 to {source.images - 1}")
        content = {"of": of, "rows": list(rows), "norm": norm}
        found = digest(source.digest, json.dumps(content["rows"]), norm)
        known = self._of_name(key.name, name)
        if known and known.digest != found:
            raise OtherContent(
                f"image set {name!r}: expected the same images, got others; choose another name"
            )
        if known and known.revision == source.revision:
            return known, False
        if not known:
            self._require_room(key.name)
        made = ImageSet(key.name, name, found, source.revision, len(rows), content)
        self._store(made, charged=None)
        return made, True

    def delete(self, key: Key, name: str) -> bool:
        """Delete an image set of a key with its features; return whether it existed."""
        known = self._of_name(key.name, name)
        with self._database.writing() as opened:
            done = opened.execute(
                "DELETE FROM image_sets WHERE key = ? AND name = ?", (key.name, name)
            )
        others = (other.digest for other in self.of(key.name) if other.key == key.name)
        if known and not known.content and known.digest not in set(others):
            self._path(known).unlink(missing_ok=True)
        return bool(done.rowcount)

    def features(self, found: ImageSet) -> torch.Tensor:
        """Return the features (N, E) of an image set, on the model's device.

        Raises ImageSetError if another model encoded the images, or the features are missing.
        """
        source = self.find(found.key, found.content["of"]) if found.content else found
        if source is None or source.revision != self._model.revision:
            raise ImageSetError(
                f"image set {found.name!r}: expected images that this model has encoded; upload "
                "them again"
            )
        unit, norms = self._read(self._path(source))
        if found.content:
            rows = torch.tensor(found.content["rows"], device=unit.device)
            unit, norms = unit[rows], norms[rows]
            if found.content["norm"] == "raw":
                unit = unit * norms[:, None]
        return unit

    def _read(self, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
        with self._lock:
            if path not in self._held:
                arrays, _ = read_tensors(path)
                pair = tuple(
                    torch.from_numpy(arrays[name]).to(self._model.device)
                    for name in ("features", "norms")
                )
                self._held[path] = pair
                while len(self._held) > 1 and sum(_size(p) for p in self._held.values()) > _HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(path)
            return self._held[path]

    def _path(self, image_set: ImageSet) -> Path:
        whose = hashlib.sha256(image_set.key.encode()).hexdigest()[:16]
        file = f"{image_set.digest[:32]}-{image_set.revision}.safetensors"
        return self._folder / (whose if image_set.key != OWNER else "owner") / file

    def _of_name(self, key: str, name: str) -> ImageSet | None:
        found = self.find(key, name)
        return found if found and found.key == key else None

    def _require_room(self, key: str) -> None:
        if sum(each.key == key for each in self.of(key)) >= self._most:
            raise ImageSetError(f"image sets: expected at most {self._most} of a key")

    def _store(self, made: ImageSet, charged: Key | None) -> None:
        with self._database.writing() as opened:
            opened.execute(
                "INSERT OR REPLACE INTO image_sets VALUES (?, ?, ?, ?, ?, ?)",
                (
                    *(made.key, made.name, made.digest, made.revision),
                    *(made.images, json.dumps(made.content)),
                ),
            )
            if charged:
                opened.execute(
                    "UPDATE keys SET images = images + ? WHERE name = ?",
                    (made.images, charged.name),
                )


def _require_budget(database: Database, key: Key, images: int) -> None:
    with database.reading() as opened:
        row = opened.execute(
            "SELECT images, image_budget FROM keys WHERE name = ?", (key.name,)
        ).fetchone()
    if row["image_budget"] is not None and row["images"] + images > row["image_budget"]:
        raise BudgetSpent("image budget", row["images"], images, row["image_budget"])


def _image_set(row: Mapping[str, Any]) -> ImageSet:
    fields = {name: row[name] for name in ("key", "name", "digest", "revision", "images")}
    return ImageSet(content=json.loads(row["content"]), **fields)


def _size(pair: tuple[torch.Tensor, ...]) -> int:
    return sum(each.numel() * each.element_size() for each in pair)
