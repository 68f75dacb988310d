"""What RO-Crate 1.3 and the Workflow Run profiles 0.6 require of a crate such as ours.

Every requirement that the specifications mark MUST for the entities that we write, and those marked
SHOULD that we promise (names, times, steps).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

Entity = dict[str, Any]

PROFILES = ("process/0.6", "workflow/0.6", "provenance/0.6")
#: Identifiers of vocabularies, which are no entities of a crate.
VOCABULARIES = ("https://", "http://schema.org/")


def problems(folder: Path, crate: Entity | None = None) -> list[str]:
    """What is wrong with the crate in a folder, or with other metadata of its files."""
    crate = crate or json.loads((folder / "ro-crate-metadata.json").read_text())
    return [*_problems(folder, crate)]


def _problems(folder: Path, crate: Entity) -> Iterator[str]:
    graph = crate["@graph"]
    entities = {entity["@id"]: entity for entity in graph}
    if len(entities) != len(graph):
        yield "an identifier occurs twice"
    yield from _references(entities)
    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    if descriptor["about"] != {"@id": "./"} or descriptor["@type"] != "CreativeWork":
        yield "descriptor: not about the root"
    if not descriptor["conformsTo"]["@id"].startswith("https://w3id.org/ro/crate/"):
        yield "descriptor: no version of RO-Crate"
    for key in ("name", "description", "datePublished", "license", "hasPart", "mainEntity"):
        if not root.get(key):
            yield f"root: no {key}"
    conforms = set(_ids(root.get("conformsTo", [])))
    for profile in PROFILES:
        url = f"https://w3id.org/ro/wfrun/{profile}"
        if url not in conforms or entities.get(url, {}).get("@type") != "CreativeWork":
            yield f"root: does not conform to {profile}"
    yield from _files(folder, entities, root)
    yield from _workflow(entities, root)
    yield from _actions(entities, root)


def _references(entities: dict[str, Entity]) -> Iterator[str]:
    for entity in entities.values():
        for key, value in entity.items():
            for each in _ids(value):
                if each not in entities and not each.startswith(VOCABULARIES):
                    yield f"{entity['@id']}: {key}: {each} is no entity"


def _files(folder: Path, entities: dict[str, Entity], root: Entity) -> Iterator[str]:
    parts = set(_ids(root["hasPart"]))
    for entity in _of(entities, "File"):
        path = folder / unquote(entity["@id"])
        if entity["@id"] not in parts:
            yield f"{entity['@id']}: no part of the root"
        if not path.is_file():
            yield f"{entity['@id']}: no such file"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != entity.get("sha256"):
            yield f"{entity['@id']}: another content"


def _workflow(entities: dict[str, Entity], root: Entity) -> Iterator[str]:
    workflow = entities[root["mainEntity"]["@id"]]
    if not {"File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"} <= _types(workflow):
        yield "workflow: lacks a type"
    language = entities.get(workflow.get("programmingLanguage", {}).get("@id"), {})
    if "ComputerLanguage" not in _types(language):
        yield "workflow: no language"
    tools = set(_ids(workflow.get("hasPart", [])))
    steps = _of(entities, "HowToStep")
    if {step["@id"] for step in steps} != set(_ids(workflow.get("step", []))):
        yield "workflow: steps are not its own"
    for step in steps:
        if not tools & set(_ids(step.get("workExample", {}))):
            yield f"{step['@id']}: no tool of the workflow"
    for parameter in _of(entities, "FormalParameter"):
        if not parameter.get("additionalType") or not parameter.get("name"):
            yield f"{parameter['@id']}: no type or name"


def _actions(entities: dict[str, Entity], root: Entity) -> Iterator[str]:
    main = root["mainEntity"]["@id"]
    tools = set(_ids(entities[main].get("hasPart", [])))
    mentioned = set(_ids(root.get("mentions", [])))
    made, runs = _of(entities, "CreateAction"), []
    for action in made:
        instrument = set(_ids(action.get("instrument", {})))
        runs += [action["@id"]] if main in instrument else []
        if not instrument & {main, *tools}:
            yield f"{action['@id']}: no tool"
        if not action.get("result") or not action.get("name"):
            yield f"{action['@id']}: no result or name"
        if action["@id"] not in mentioned:
            yield f"{action['@id']}: not mentioned"
        times = [
            datetime.fromisoformat(action.get(k, ""))
            for k in ("startTime", "endTime")
            if k in action
        ]
        if "endTime" not in action or times != sorted(times):
            yield f"{action['@id']}: no end, or one before its start"
    if len(runs) != 1:
        yield "workflow: not run once"
    orchestrated = set()
    for control in _of(entities, "ControlAction"):
        objects = set(_ids(control.get("object", [])))
        orchestrated |= objects
        if not {e["@id"] for e in _of(entities, "HowToStep")} & set(
            _ids(control.get("instrument", {}))
        ):
            yield f"{control['@id']}: no step"
    if orchestrated != {action["@id"] for action in made} - set(runs):
        yield "controls: not of every tool's execution"
    controls = {control["@id"] for control in _of(entities, "ControlAction")}
    for engine in _of(entities, "OrganizeAction"):
        if not controls <= set(_ids(engine["object"])) or _ids(engine["result"]) != runs:
            yield f"{engine['@id']}: not of the run and its steps"
        if "SoftwareApplication" not in _types(entities.get(engine["instrument"]["@id"], {})):
            yield f"{engine['@id']}: no engine"


def _of(entities: dict[str, Entity], kind: str) -> list[Entity]:
    return [entity for entity in entities.values() if kind in _types(entity)]


def _types(entity: Entity) -> set[str]:
    types = entity.get("@type", [])
    return {types} if isinstance(types, str) else set(types)


def _ids(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [each["@id"] for each in values if isinstance(each, dict) and "@id" in each]


# --- what makes a crate invalid ---


def _first(entities: dict[str, Entity], kind: str) -> Entity:
    return min(_of(entities, kind), key=lambda entity: entity["@id"])


def _no_profile(entities: dict[str, Entity]) -> None:
    entities["./"]["conformsTo"].pop()
    entities["./"]["conformsTo"].pop()


def _no_license(entities: dict[str, Entity]) -> None:
    del entities["./"]["license"]


def _another_table(entities: dict[str, Entity]) -> None:
    entities["architectures.csv"]["sha256"] = "0" * 64


def _lost_file(entities: dict[str, Entity]) -> None:
    entities["architectures.csv"]["@id"] = "lost.csv"


def _action_without_tool(entities: dict[str, Entity]) -> None:
    del next(e for i, e in entities.items() if i.startswith("#action/"))["instrument"]


def _action_without_end(entities: dict[str, Entity]) -> None:
    del next(e for i, e in entities.items() if i.startswith("#action/"))["endTime"]


def _action_that_ends_first(entities: dict[str, Entity]) -> None:
    entities["#run"]["endTime"] = "1999-01-01T00:00:00+00:00"


def _step_without_tool(entities: dict[str, Entity]) -> None:
    del _first(entities, "HowToStep")["workExample"]


def _control_without_step(entities: dict[str, Entity]) -> None:
    del _first(entities, "ControlAction")["instrument"]


def _execution_without_control(entities: dict[str, Entity]) -> None:
    _first(entities, "ControlAction")["object"].pop()


def _workflow_of_another_type(entities: dict[str, Entity]) -> None:
    entities["workflow/Snakefile"]["@type"] = ["File", "SoftwareSourceCode"]


def _parameter_without_type(entities: dict[str, Entity]) -> None:
    del _first(entities, "FormalParameter")["additionalType"]


DAMAGE = [
    _no_profile,
    _no_license,
    _another_table,
    _lost_file,
    _action_without_tool,
    _action_without_end,
    _action_that_ends_first,
    _step_without_tool,
    _control_without_step,
    _execution_without_control,
    _workflow_of_another_type,
    _parameter_without_type,
]
