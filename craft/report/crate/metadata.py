"""Return the metadata of the crate: every entity that ``provenance.json`` names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from craft import __version__
from craft.files import paths
from craft.report.crate.identifiers import (
    CONTEXT,
    CRATE_SPECIFICATION,
    ENGINE,
    MIT,
    PROFILES,
    RUN,
    SNAKEFILE,
    Entity,
    action_id,
    identifier,
    media_type,
    outside,
    references,
    step_id,
    tool_id,
)
from craft.runtime.provenance import summary_of


def crate(provenance: Mapping[str, Any], suite: str, workflow: Mapping[str, str]) -> Entity:
    """Return ``ro-crate-metadata.json`` as JSON values.

    ``suite`` is the SHA-256 of ``suite.json``, ``workflow`` those of the copied files by path.
    """
    files = {**provenance["files"], paths.SUITE: suite, **workflow}
    actions = [_action(provenance, action) for action in provenance["actions"]]
    inside = [path for path in files if not outside(path)]
    entities: list[Entity] = [
        *_root(provenance, inside),
        *({"@id": key, "@type": "CreativeWork", **_profile(key)} for key in PROFILES),
        *_workflow(provenance, workflow),
        *_tools(provenance),
        *_run(provenance, actions),
        *actions,
        *(_file(path, files[path], provenance) for path in sorted(files) if path != SNAKEFILE),
    ]
    return {"@context": CONTEXT, "@graph": entities}


def _profile(url: str) -> Entity:
    return {"name": PROFILES[url], "version": url.rpartition("/")[2]}


def _root(provenance: Mapping[str, Any], inside: Sequence[str]) -> Iterator[Entity]:
    yield {
        "@id": paths.CRATE,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": CRATE_SPECIFICATION},
    }
    yield {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Results of the suite {provenance['suite']} of craft-pipeline",
        "description": "Tables and figures of black-box prompt tuning, the runs behind them, and "
        "how each was made.",
        "datePublished": _ended(provenance)[:10],
        "license": "Code: MIT. Images and weights are not part of the crate and keep the licences "
        "of their sources.",
        "conformsTo": references(PROFILES),
        "hasPart": references(map(identifier, sorted(inside))),
        "mainEntity": {"@id": SNAKEFILE},
        "mentions": references(
            [RUN, *(action_id(action) for action in provenance["actions"])],
        ),
    }
    yield {
        "@id": MIT,
        "@type": "CreativeWork",
        "name": "MIT License",
        "description": "SPDX identifier MIT",
    }


def _workflow(provenance: Mapping[str, Any], copied: Mapping[str, str]) -> Iterator[Entity]:
    """Yield the workflow, its language, its parameters and its steps."""
    commands = _commands(provenance)
    yield {
        "@id": SNAKEFILE,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
        "name": "craft-pipeline",
        "version": __version__,
        "license": {"@id": MIT},
        "programmingLanguage": {"@id": "#snakemake"},
        "sha256": copied[SNAKEFILE],
        "encodingFormat": media_type(SNAKEFILE),
        "hasPart": references(
            [*map(tool_id, commands), *(identifier(path) for path in copied if path != SNAKEFILE)]
        ),
        "step": references(map(step_id, commands)),
        "input": [{"@id": "#parameter/configuration"}],
        "output": references(f"#parameter/{name}" for name in provenance["artefacts"]),
    }
    yield {
        "@id": "#snakemake",
        "@type": "ComputerLanguage",
        "name": "Snakemake",
        "identifier": {"@id": "https://snakemake.github.io"},
        "url": {"@id": "https://snakemake.github.io"},
    }
    yield _parameter("configuration", "The resolved configuration of the suite")
    for name, artefact in provenance["artefacts"].items():
        yield _parameter(name, artefact["heading"])
    for position, command in enumerate(commands):
        yield {
            "@id": step_id(command),
            "@type": "HowToStep",
            "name": summary_of(command.split()[-1]),
            "position": position,
            "workExample": {"@id": tool_id(command)},
        }


def _parameter(name: str, description: str) -> Entity:
    return {
        "@id": f"#parameter/{name}",
        "@type": "FormalParameter",
        "additionalType": "File",
        "name": name,
        "description": description,
    }


def _tools(provenance: Mapping[str, Any]) -> Iterator[Entity]:
    """Yield the commands, and the distributions that each was run with."""
    found: dict[str, tuple[str, str]] = {}
    for command in _commands(provenance):
        used: dict[str, None] = {}
        for action in provenance["actions"]:
            versions = provenance["environments"][action["environment"]].get("versions", {})
            if action["command"] == command:
                used |= {f"#{name}-{version}": None for name, version in versions.items()}
                found |= {
                    f"#{name}-{version}": (name, version) for name, version in versions.items()
                }
        yield {
            "@id": tool_id(command),
            "@type": "SoftwareApplication",
            "name": command,
            "description": summary_of(command.split()[-1]),
            "softwareVersion": __version__,
            "softwareRequirements": references(sorted(used)),
        }
    for key, (name, version) in sorted(found.items()):
        yield {
            "@id": key,
            "@type": "SoftwareApplication",
            "name": name,
            "softwareVersion": version,
        }


def _run(provenance: Mapping[str, Any], actions: Sequence[Entity]) -> Iterator[Entity]:
    """Yield the run of the workflow, the engine's, and one control of each step."""
    shown = [path for each in provenance["artefacts"].values() for path in each["files"]]
    elsewhere = [path for path in provenance["files"] if outside(path)]
    times = {"startTime": _started(provenance), "endTime": _ended(provenance)}
    yield {
        "@id": RUN,
        "@type": "CreateAction",
        "name": f"Run of the suite {provenance['suite']}",
        "description": f"Settings {provenance['config_hash']}, seeds {provenance['seeds']}",
        "instrument": {"@id": SNAKEFILE},
        "object": references(map(identifier, [paths.SUITE, *elsewhere])),
        "result": references(map(identifier, [*shown, paths.RUNS])),
        **times,
    }
    controls = []
    for command in _commands(provenance):
        controlled = [
            each["@id"] for each in actions if each["instrument"]["@id"] == tool_id(command)
        ]
        controls.append(
            {
                "@id": f"#control/{command.split()[-1]}",
                "@type": "ControlAction",
                "name": f"Run {command}",
                "instrument": {"@id": step_id(command)},
                "object": references(controlled),
            }
        )
    yield from controls
    yield {
        "@id": f"{ENGINE}/run",
        "@type": "OrganizeAction",
        "name": "Run Snakemake",
        "instrument": {"@id": ENGINE},
        "object": references([*(each["@id"] for each in controls), paths.SUITE]),
        "result": {"@id": RUN},
        **times,
    }
    versions = {
        each["versions"]["snakemake"]
        for each in provenance["environments"]
        if "snakemake" in each.get("versions", {})
    }
    yield {
        "@id": ENGINE,
        "@type": "SoftwareApplication",
        "name": "Snakemake",
        "url": {"@id": "https://snakemake.github.io"},
        "softwareVersion": ", ".join(sorted(versions)),
    }


def _action(provenance: Mapping[str, Any], action: Mapping[str, Any]) -> Entity:
    """Return one execution of a command."""
    environment = provenance["environments"][action["environment"]]
    machine = environment.get("machine", {})
    facts = {
        "run": action.get("run"),
        "settings": provenance["runs"].get(action.get("run"), {}).get("config_hash"),
        "seed": provenance["runs"].get(action.get("run"), {}).get("seed"),
        "code": environment.get("code_hash"),
        "commit": environment.get("commit"),
        **machine,
    }
    said = "; ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    started = {"startTime": action["started"]} if "started" in action else {}
    return {
        "@id": action_id(action),
        "@type": "CreateAction",
        "name": f"Make {action['wrote'][0]}",
        "description": f"{action['command']}; {said}" if said else action["command"],
        "instrument": {"@id": tool_id(action["command"])},
        "object": references(map(identifier, action["read"])),
        "result": references(map(identifier, action["wrote"])),
        **started,
        "endTime": action["ended"],
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }


def _file(path: str, found: str, provenance: Mapping[str, Any]) -> Entity:
    entity: Entity = {"@id": identifier(path), "name": path, "sha256": found}
    if outside(path):
        return entity | {"@type": "CreativeWork"}
    entity |= {"@type": "File", "encodingFormat": media_type(path)}
    for name, artefact in provenance["artefacts"].items():
        if path in artefact["files"]:
            entity["exampleOfWork"] = {"@id": f"#parameter/{name}"}
    if path == paths.SUITE:
        entity["exampleOfWork"] = {"@id": "#parameter/configuration"}
    return entity


def _ended(provenance: Mapping[str, Any]) -> str:
    return max(action["ended"] for action in provenance["actions"])


def _started(provenance: Mapping[str, Any]) -> str:
    return min(action.get("started", action["ended"]) for action in provenance["actions"])


def _commands(provenance: Mapping[str, Any]) -> list[str]:
    """Return the commands in an order of execution: none before one whose files it reads."""
    made_by = {path: each["command"] for each in provenance["actions"] for path in each["wrote"]}
    behind: dict[str, set[str]] = {each["command"]: set() for each in provenance["actions"]}
    for action in provenance["actions"]:
        used = {made_by[path] for path in action["read"] if path in made_by}
        behind[action["command"]] |= used - {action["command"]}
    found: list[str] = []
    while rest := [command for command in behind if command not in found]:
        found.append(min(each for each in rest if behind[each] <= set(found)))
    return found
