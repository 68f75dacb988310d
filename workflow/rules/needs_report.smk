# What tables and figures need.

from functools import cache


def request_of(wildcards):
    """What an artefact asks for, or the whole suite."""
    return asked_by(wildcards.artefact)


@cache
def asked_by(artefact):
    """The same by name."""
    return request_of_all(DESIGN) if artefact == SUITE_REQUEST else request(DESIGN, artefact)


def sources(wildcards):
    """Return what an artefact is made from: scores, or where it counts images manifests."""
    name = wildcards.artefact
    if ARTEFACTS[name].rows == "data sets":
        return DESIGN.sources(name)
    return scored(DESIGN.runs(name))


def published(wildcards):
    """The paper's numbers for an artefact, and notes on them, where the suite shows them."""
    return ARTEFACTS[wildcards.artefact].printed_files(SUITE["published"])


def about(wildcards):
    """What the report says of an artefact."""
    return ARTEFACTS[wildcards.artefact].described(SUITE["suite"])


def heading(wildcards):
    """What an artefact is called."""
    return ARTEFACTS[wildcards.artefact].heading(SUITE["suite"])


def label_of(wildcards):
    """Its label in the report, whose pages list artefacts of one kind each."""
    return {ARTEFACTS[wildcards.artefact].kind: heading(wildcards)}


REPORTING = {
    "table": "craft.report.tables.__main__",
    "figure": "craft.report.figures.__main__",
}


def making(wildcards):
    """Of a table or a figure, whose command loads the module that makes it by its name."""
    artefact = ARTEFACTS[wildcards.artefact]
    return job(REPORTING[artefact.kind], artefact.module)
