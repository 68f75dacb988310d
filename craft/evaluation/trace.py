"""Trace every table and figure of a suite back to the files, code, seeds and machines behind it.

Nothing is remembered elsewhere: receipts, records and scores say what they were made from.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from craft.evaluation.read_scores import Scores, StaleError
from craft.files import paths, receipts
from craft.files.atomic import RecordError, read_json, read_sealed, write_json
from craft.files.receipts import Index, receipt_of
from craft.files.records import PREDICTIONS_FILE, RUN_FILES, Score
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

#: What a run shares with many others, kept once per combination.
SHARED = ("commit", "code_hash", "versions", "machine")


@dataclass(frozen=True)
class Action:
    """One execution of a command: what it read (path -> SHA-256) and wrote, when, and with what."""

    command: str
    read: Mapping[str, str]
    wrote: tuple[str, ...]
    ended: str  # UTC, ISO 8601
    environment: Mapping[str, Any]
    started: str | None = None  # None where only the end is recorded
    run: str | None = None  # folder of the run that it fitted or scored


class Trace:
    """Walk from the files of a suite to all that they were made from.

    Paths are from the folder of the results; those of files elsewhere start with ``..``.
    """

    def __init__(self, request: Mapping[str, Any], results: str) -> None:
        self._results, self._request = results, request
        self._index = Index(Path(results, paths.INDEX))
        scores = Scores(request, results)
        self._runs: dict[str, tuple[str, Score]] = {}  # folder of a run's files -> its score
        self.missing: dict[str, str] = {}
        for folder, run in request["runs"].items():
            try:
                place = paths.RUN.format(**run)
                self._runs[place] = folder, scores.score(folder)
            except RecordError as error:
                self.missing[folder] = str(error)
        self.files: dict[str, str] = {}
        self._actions: dict[tuple[object, ...], Action] = {}

    def follow(self, targets: Sequence[str]) -> None:
        """Add files and all that is behind them; raises StaleError for one edited since."""
        todo = list(targets)
        while todo:
            path = todo.pop()
            if path in self.files:
                continue
            found = self._index.sha256(f"{self._results}/{path}")
            if found is None:
                raise StaleError(f"{path}: expected a file below {self._results}, got none")
            self.files[path] = found
            if action := self._made(path, found):
                key = action.command, action.run, action.started, action.ended, tuple(action.read)
                earlier = self._actions.get(key, action)
                wrote = tuple(dict.fromkeys((*earlier.wrote, *action.wrote)))
                self._actions[key] = Action(**{**vars(earlier), "wrote": wrote})
                todo += wrote
                for each, sha256 in action.read.items():
                    if each.startswith(".."):
                        self.files.setdefault(each, sha256)
                    else:
                        todo.append(each)

    @property
    def actions(self) -> list[Action]:
        """Return the commands that were executed, by the time of their end."""
        return sorted(self._actions.values(), key=lambda each: (each.ended, each.wrote))

    def _made(self, path: str, sha256: str) -> Action | None:
        """Return what made a file; None for one that Snakemake or a person wrote."""
        folder, name = os.path.split(path)
        if folder in self._runs:
            return self._scored(folder) if name == paths.SCORE_NAME else self._fitted(folder)
        receipt = receipt_of(Path(self._results, path))
        if not receipt.is_file():
            return None
        said = read_sealed(receipt)
        if said["sha256"] != sha256:
            raise StaleError(f"{path}: expected SHA-256 {said['sha256']} ({receipt}), got {sha256}")
        read = {
            os.path.normpath(os.path.join(folder, each)): found
            for each, found in said["read"].items()
            if found is not None  # a run that is missing
        }
        environment = {"versions": said["versions"]}
        times = {"started": said["started"], "ended": said["ended"]}
        return Action(said["command"], read, (path,), environment=environment, **times)

    def _scored(self, folder: str) -> Action:
        run, score = self._runs[folder]
        files = (paths.RECORD_NAME, PREDICTIONS_FILE)
        read = [f"{folder}/{name}" for name in files]
        read += [paths.MANIFEST.format(dataset=name) for name in score.manifests]
        return Action(
            command="python -m craft.evaluation.score",
            read=dict(self._hashed(read)),
            wrote=(f"{folder}/{paths.SCORE_NAME}",),
            ended=score.scored,
            environment={"code_hash": score.code_hash},
            run=run,
        )

    def _fitted(self, folder: str) -> Action:
        run, score = self._runs[folder]
        record = score.record
        inputs = self._request["runs"][run]["inputs"]
        return Action(
            command="python -m craft.fit",
            read={path: record["inputs"][role] for role, path in inputs.items()},
            wrote=tuple(f"{folder}/{name}" for name in (paths.RECORD_NAME, *RUN_FILES)),
            started=record["started"],
            ended=record["ended"],
            environment={name: record[name] for name in SHARED},
            run=run,
        )

    def _hashed(self, found: Sequence[str]) -> Iterator[tuple[str, str]]:
        for path in found:
            yield path, self._index.sha256(f"{self._results}/{path}") or ""

    def content(self) -> dict[str, Any]:
        """Return what ``provenance.json`` holds.

        ``environments`` are the combinations of git commit (null outside a checkout), hash of the
        code, versions and machine that occur; ``actions`` name their own by position. ``runs`` has
        the seed, the hash of the settings and the files by role of each run, ``missing`` those
        without a score, with the reason. ``files`` has the SHA-256 of each file.
        """
        environments: dict[str, tuple[int, Mapping[str, Any]]] = {}
        actions, fitted = [], {}
        for action in self.actions:
            key = json.dumps(action.environment, sort_keys=True)
            number, _ = environments.setdefault(key, (len(environments), action.environment))
            if action.command == "python -m craft.fit":
                fitted[action.run] = number
            said = {**vars(action), "environment": number, "read": sorted(action.read)}
            actions.append({name: value for name, value in said.items() if value is not None})
        return {
            "suite": self._request["suite"],
            "config_hash": self._request["config_hash"],
            "seeds": self._request["seeds"],
            "artefacts": self._request["artefacts"],
            "environments": [environment for _, environment in environments.values()],
            "runs": {
                folder: self._run(folder, score) | {"environment": fitted[folder]}
                for folder, score in self._runs.values()
                if folder in fitted
            },
            "missing": self.missing,
            "actions": actions,
            "files": dict(sorted(self.files.items())),
        }

    def _run(self, folder: str, score: Score) -> dict[str, Any]:
        claims = self._request["runs"][folder]
        return {
            "seed": claims["seed"],
            "config_hash": score.record["config_hash"],
            "started": score.record["started"],
            "ended": score.record["ended"],
            "inputs": {
                role: {"path": path, "sha256": score.record["inputs"][role]}
                for role, path in claims["inputs"].items()
            },
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write where the tables, figures and runs of a suite come from."""
    parser = argparse.ArgumentParser(prog="python -m craft.evaluation.trace", description=__doc__)
    parser.add_argument("--request", required=True, metavar="FILE", help="what the suite asks for")
    parser.add_argument("--results", required=True, metavar="FOLDER", help="of the suite")
    parser.add_argument("--out", required=True, metavar="FILE", help="JSON to write")
    receipts.add_argument(parser)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    request = read_json(Path(args.request))
    found = Trace(request, args.results)
    made = [path for each in request["artefacts"].values() for path in each["files"]]
    targets = [*made, paths.RUNS]
    fetched = [paths.FETCHED.format(dataset=name) for name in request["datasets"]]
    found.follow([*targets, *(each for each in fetched if Path(args.results, each).is_file())])
    write_json(args.out, found.content())
    read = [args.request, *(f"{args.results}/{path}" for path in targets)]
    receipts.write([args.out], args.receipt, read)
    log.info("%s: %d files of %d actions", args.out, len(found.files), len(found.actions))


if __name__ == "__main__":
    run_command(main)
