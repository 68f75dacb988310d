# Inputs of tables and figures.

from functools import cache


def request_of(wildcards):
    """Return the request of an artefact, or of the whole suite."""
    return asked_by(wildcards.artefact)


@cache
def asked_by(artefact):
    """Return the request of an artefact by name."""
    return request_of_all(DESIGN) if artefact == SUITE_REQUEST else request(DESIGN, artefact)


def sources(wildcards):
    """Return the inputs of an artefact: scores, or manifests if it counts images."""
    name = wildcards.artefact
    if ARTEFACTS[name].rows == "data sets":
        return DESIGN.sources(name)
    return scored(DESIGN.runs(name))


def published(wildcards):
    """Return the files of the paper's numbers and notes, if the suite shows them."""
    return ARTEFACTS[wildcards.artefact].printed_files(SUITE["published"])


def about(wildcards):
    """Return the report's description of an artefact."""
    return ARTEFACTS[wildcards.artefact].described(SUITE["suite"])


def heading(wildcards):
    """Return the heading of an artefact."""
    return ARTEFACTS[wildcards.artefact].heading(SUITE["suite"])


def label_of(wildcards):
    """Return its label in the report, whose pages list artefacts by kind."""
    return {ARTEFACTS[wildcards.artefact].kind: heading(wildcards)}


REPORTING = {
    "table": "craft.report.tables.__main__",
    "figure": "craft.report.figures.__main__",
}


def making(wildcards):
    """Return the arguments of a table's or figure's command, with the hash of its module."""
    artefact = ARTEFACTS[wildcards.artefact]
    return job(REPORTING[artefact.kind], artefact.module)
