"""Check the user's data sets before any job: content, problems and notices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from craft.data.class_names import with_unknown_words
from craft.files import paths
from craft.runtime.messages import shown

if TYPE_CHECKING:
    from craft.data.user_images import Survey


def survey_own_images(suite: Mapping[str, Any], root: Path) -> dict[str, Survey]:
    """Return the survey of each of the user's own data sets, few-shot sets included.

    Where a manifest is there, it is what counts; else the folders do.
    """
    surveys: dict[str, Survey] = {}
    # Sources first: their class names are the labels of their shifted test sets.
    for name, fact in sorted(suite["facts"].items(), key=lambda item: "source" in item[1]):
        if "root" not in fact:
            continue
        # Brings numpy along, which no other suite needs here.
        from craft.data.user_images import survey

        shots = [
            shots
            for spec in suite["artefacts"].values()
            if name in spec.get("datasets", suite["datasets"])
            for shots in spec.get("shots", ())
        ]
        manifest = root / paths.at(suite["results"], paths.MANIFEST, dataset=name)
        source = _class_names(suite, surveys, root, fact["source"]) if "source" in fact else None
        most = max(shots, default=0)
        surveys[name] = survey(root / fact["root"], fact, manifest, most, source or None)
    return surveys


def notices(suite: Mapping[str, Any], surveys: Mapping[str, Survey], root: Path) -> Iterator[str]:
    """Return notices about a valid suite for the user, before it runs."""
    for name, own in surveys.items():
        yield from (f"config/datasets/{name}.yaml: {text}" for text in own.notices)
    few = [fact for fact in suite["backbone_facts"].values() if "words" in fact]
    foreign = [name for name in suite["datasets"] if suite["facts"][name]["kind"] != "mini"]
    for name in foreign if few else ():
        names = list(_class_names(suite, surveys, root, name).values())
        for backbone in few:
            if strange := with_unknown_words(names, backbone["words"]):
                yield (
                    f"{backbone['name']} was pretrained on {len(backbone['words'])} words and "
                    f"cannot tell all others apart; {len(strange)} of {len(names)} class names of "
                    f"{name} hold such a word, {shown(strange[0])} first: expect accuracy near "
                    "chance, or name another backbone"
                )


def _class_names(
    suite: Mapping[str, Any], surveys: Mapping[str, Survey], root: Path, name: str
) -> dict[int, str]:
    """Label -> class name of a data set, as far as its files are there."""
    if name in surveys:
        return surveys[name].names
    if name not in suite["facts"]:
        return {}
    fact = suite["facts"][name]
    # Brings numpy along, which most suites do not need here.
    from craft.data.layouts import class_names

    return class_names(root / suite["data"] / fact.get("folder", name), fact)
