"""Prompts as token ids: the context that all classes share, and the suffix of each class.

``python -m craft.blackbox.text.tokenise`` writes them for a backbone and data sets.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from craft.files import receipts
from craft.files.atomic import RecordError, read_json, write_json
from craft.files.datasets import Manifest
from craft.files.descriptions import read_dataset
from craft.files.typed import STRICT, build
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

#: The template of every learner on every data set: p0 and the suffix of Section 3.1.
LEARNER_TEMPLATE = "a photo of a {}."


class PromptError(ValueError):
    """A template or class name does not tokenise as context, name and suffix."""


@dataclass(frozen=True)
class PromptTokens:
    """One template's prompts for K classes: [start] context, then each class's own tokens."""

    __pydantic_config__ = STRICT

    template: str
    class_names: tuple[str, ...]  # K, as the data set spells them
    start_id: int | None  # None: the tokenizer has no start of text
    context_ids: tuple[int, ...]  # L, shared by all classes
    suffix_ids: tuple[tuple[int, ...], ...]  # K ragged: name, rest of the template, end of text
    pad_id: int = 0  # what a prompt is filled up with

    @classmethod
    def tokenise(
        cls,
        tokenizer: Any,
        class_names: Sequence[str],
        template: str = LEARNER_TEMPLATE,
        context_length: int | None = None,
    ) -> PromptTokens:
        """Tokenise ``template`` (one ``{}``) for each class name, ``_`` read as a space.

        ``context_length``: positions that the text transformer has (default: the tokenizer's).
        Raises PromptError for a template without exactly one ``{}``, tokens that merge across the
        border between context and name, and a prompt that is too long (naming the class). A
        tokenizer of the package transformers is asked for whole prompts, as open_clip asks it.
        """
        if template.count("{}") != 1:
            raise PromptError(f"template {template!r} must contain {{}} exactly once")
        if not class_names:
            raise PromptError("no class names")
        limit = context_length or tokenizer.context_length
        words = _Clip(tokenizer) if hasattr(tokenizer, "encode") else _Rows(tokenizer, limit)
        before = words.prompt(template.partition("{}")[0])
        # Of what precedes the name, the end of text belongs to the suffixes.
        shared = before[: len(before) - words.ends]
        context = shared[words.starts :]
        suffixes = []
        for name in class_names:
            ids = words.prompt(template.replace("{}", name.replace("_", " ")))
            if ids[: len(shared)] != shared:
                raise PromptError(
                    f"class {name!r}: the tokens of {template!r} before {{}} change with the name, "
                    "so that classes cannot share their context; put a space before {}"
                )
            if len(ids) > limit:
                raise PromptError(
                    f"class {name!r}: the prompt has {len(ids)} tokens, the model takes {limit}"
                )
            suffixes.append(ids[len(shared) :])
        start = shared[0] if words.starts else None
        return cls(template, tuple(class_names), start, context, tuple(suffixes), words.pad_id)

    @property
    def start_ids(self) -> tuple[int, ...]:
        """The start of text, where there is one."""
        return () if self.start_id is None else (self.start_id,)


class _Clip:
    """CLIP's own tokenizer: start of text, words, end of text, zeros."""

    starts, ends, pad_id = 1, 1, 0

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def prompt(self, text: str) -> tuple[int, ...]:
        ids = self._tokenizer.encode(text)
        return self._tokenizer.sot_token_id, *ids, self._tokenizer.eot_token_id


class _Rows:
    """A tokenizer that gives whole rows alone, as open_clip's of the package transformers do.

    Its start, end and padding are read off the rows of no word and of one.
    """

    def __init__(self, tokenizer: Any, limit: int) -> None:
        # Room beyond what the model takes, so that a prompt that is too long is not cut but named.
        self._tokenizer, self._length = tokenizer, limit + 64
        empty = self._row("")
        self.pad_id = empty[-1]
        none, one = self._trimmed(empty), self._trimmed(self._row("a"))
        self.starts = next((n for n, i in enumerate(none) if one[n] != i), len(none))
        if self.starts > 1 or one[len(one) - len(none) + self.starts :] != none[self.starts :]:
            raise PromptError(
                f"tokenizer {type(tokenizer).__name__}: expected at most one token of start, the "
                f"same end behind any text, and padding, got {none} for no word and {one} for 'a'"
            )
        self.ends = len(none) - self.starts

    def prompt(self, text: str) -> tuple[int, ...]:
        return self._trimmed(self._row(text.strip()))

    def _row(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer([text], context_length=self._length)[0].tolist())

    def _trimmed(self, row: tuple[int, ...]) -> tuple[int, ...]:
        length = len(row)
        while length and row[length - 1] == self.pad_id:
            length -= 1
        return row[:length]


@dataclass(frozen=True)
class Prompts:
    """The prompts of one data set under one backbone's tokenizer, classes in label order."""

    backbone: str
    dataset: str
    learner: PromptTokens
    zero_shot: PromptTokens
    ensemble: tuple[PromptTokens, ...] = ()  # of templates whose features are averaged, or none
    indistinct: tuple[tuple[str, ...], ...] = ()  # classes that share a prompt, as the tower reads

    def spoken(self, kind: str) -> tuple[PromptTokens, ...]:
        """Return the prompts of a kind (``Learner.prompts``); features of several are averaged."""
        if kind == "context":
            return (self.learner,)
        return self.ensemble if kind == "ensemble" and self.ensemble else (self.zero_shot,)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Prompts:
        """Read the JSON; raises RecordError."""
        prompts = build(cls, read_json(path), path, "prompts file")
        for tokens in (prompts.learner, prompts.zero_shot, *prompts.ensemble):
            names, suffixes = len(tokens.class_names), len(tokens.suffix_ids)
            if not names or names != suffixes or not all(tokens.suffix_ids):
                raise RecordError(f"{path}: {names} class names, tokens behind {suffixes} of them")
        return prompts


def indistinct(
    tokens: PromptTokens, tokenizer: Any, words: Sequence[str] | None
) -> tuple[tuple[str, ...], ...]:
    """Return the groups of classes whose prompts are the same to a text tower.

    ``words`` are all that the tower was pretrained on: the tokens of any other have one embedding.
    None is the whole vocabulary.
    """
    known = None
    if words is not None:
        known = {tokens.start_id, tokens.pad_id, tokenizer.eot_token_id}
        known |= {i for text in (*words, tokens.template) for i in tokenizer.encode(text)}
    groups: dict[tuple[int | None, ...], list[str]] = defaultdict(list)
    for name, suffix in zip(tokens.class_names, tokens.suffix_ids, strict=True):
        groups[tuple(i if known is None or i in known else None for i in suffix)].append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def parser_of_prompts(prog: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that :func:`write_prompts` reads."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="--manifest, --dataset, --out: one value per data set.",
    )
    parser.add_argument("--backbone", type=Path, required=True, help="backbone YAML")
    several: dict[str, Any] = {"type": Path, "nargs": "+", "required": True}
    parser.add_argument("--manifest", help="the data set's manifest", **several)
    parser.add_argument("--dataset", help="data-set YAML (template, templates)", **several)
    parser.add_argument("--out", help="JSON to write", **several)
    receipts.add_argument(parser)
    return parser


def write_prompts(
    options: argparse.Namespace,
    backbone: str,
    tokenise: Callable[[Sequence[str], str], PromptTokens],
    same: Callable[[PromptTokens], tuple[tuple[str, ...], ...]],
) -> None:
    """Write the prompts of every data set of a command.

    ``tokenise`` makes those of class names in a template, ``same`` groups classes of one prompt.
    Raises PromptError, also for a data set that lacks classes.
    """
    for manifest, description, out in zip(
        options.manifest, options.dataset, options.out, strict=True
    ):
        dataset = read_dataset(description, "template")
        names = Manifest.read(manifest).class_names()
        if list(names) != list(range(len(names))):
            raise PromptError(
                f"{manifest}: labels are not 0..{len(names) - 1}; prompts are made for the data "
                "set that a learner is trained on, not for a shifted test set that lacks classes"
            )
        classes = tuple(names.values())
        learner = tokenise(classes, LEARNER_TEMPLATE)
        groups = same(learner)
        for group in groups:
            log.warning("%s: classes of one prompt: %s", dataset["name"], ", ".join(group))
        Prompts(
            backbone=backbone,
            dataset=dataset["name"],
            learner=learner,
            zero_shot=tokenise(classes, dataset["template"]),
            ensemble=tuple(tokenise(classes, template) for template in dataset["templates"]),
            indistinct=groups,
        ).write(out)
        receipts.write([out], options.receipt, [options.backbone, manifest])


def main(arguments: Sequence[str] | None = None) -> None:
    """Tokenise the prompts of data sets for a backbone."""
    # open_clip is slow to import and needed by this command only, not by readers of prompts.
    from craft.blackbox.backbones.description import read_backbone, tokenizer_of

    parser = parser_of_prompts("python -m craft.blackbox.text.tokenise", main.__doc__)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if not len(options.manifest) == len(options.dataset) == len(options.out):
        parser.error("--manifest, --dataset and --out differ in number")
    backbone = read_backbone(options.backbone)
    tokenizer = tokenizer_of(backbone)
    write_prompts(
        options,
        backbone["name"],
        lambda classes, template: PromptTokens.tokenise(tokenizer, classes, template),
        lambda tokens: indistinct(tokens, tokenizer, backbone.get("words")),
    )


if __name__ == "__main__":
    run_command(main)
