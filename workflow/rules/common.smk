# Path patterns, wildcard constraints, and which run needs what. Everything is looked up in
# dictionaries made here once: no rule's function opens a file.

import json
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, workflow.basedir)

from craft.config import ConfigError, load
from craft.design import FIGURES, TABLES, ZERO_SHOT, Design
from craft.provenance import code_hash

# Jobs get the python that runs this workflow, whether its environment is activated or not.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

try:
    SUITE = load(config, workflow.basedir, " + ".join(map(str, workflow.configfiles)))
except ConfigError as error:
    raise WorkflowError(str(error))

DESIGN = Design(SUITE)
FACTS = SUITE["facts"]
BACKBONES = SUITE["backbone_facts"]

# --- paths: the design of the experiment, spelled out ---

RESULTS = SUITE["results"]
MANIFEST = f"{RESULTS}/manifests/{{dataset}}.csv"
SPLIT = f"{RESULTS}/splits/{{dataset}}/shots-{{shots}}/seed-{{seed}}.json"
TOWER = f"{RESULTS}/backbones/{{backbone}}/text.safetensors"
PROMPTS = f"{RESULTS}/prompts/{{backbone}}/{{dataset}}.json"
FEATURES = f"{RESULTS}/features/{{backbone}}/{{dataset}}/{{part}}.safetensors"
CELL = "{method}/{backbone}/{dataset}/shots-{shots}"
RUN = f"{RESULTS}/runs/{CELL}/seed-{{seed}}"
ZERO = f"{RESULTS}/runs/{ZERO_SHOT}/{{backbone}}/{{dataset}}/shots-0/seed-0"
LOG = f"{RESULTS}/logs"
BENCHMARK = f"{RESULTS}/benchmarks"

# Seeds share a job where the config says so; else each has its own, and its own log.
SHARED_SEEDS = SUITE["seeds_per_job"] >= len(DESIGN.seeds)
JOB = CELL if SHARED_SEEDS else f"{CELL}/seed-{{seed}}"


def per_seed(pattern):
    """What a job has of a path with {seed}: one for each of its seeds."""
    return expand(pattern, seed=DESIGN.seeds, allow_missing=True) if SHARED_SEEDS else pattern


# --- which runs there are ---

RUNS = DESIGN.all_runs
SHOTS = sorted({run.shots for run in RUNS if run.shots})
TESTS = {(run.method, run.backbone, run.dataset, run.shots): DESIGN.tests_of(run) for run in RUNS}
METHODS = {run.method for run in RUNS}
LEARNERS = {method: DESIGN.learner(method) for method in METHODS}
OPTIONS = {(run.method, run.dataset): DESIGN.options(run.method, run.dataset) for run in RUNS}
CODE = {method: code_hash("craft.fit", LEARNERS[method].partition(":")[0]) for method in METHODS}


def one_of(names):
    """A wildcard's constraint: one of these names; none at all where there are none."""
    return "|".join(map(re.escape, sorted(names, key=str))) or "(?!)"


wildcard_constraints:
    method=one_of(METHODS - {ZERO_SHOT}),
    backbone=one_of(BACKBONES),
    dataset=one_of(FACTS),
    shots=one_of(map(str, SHOTS)),
    seed=one_of(map(str, DESIGN.seeds)),
    part=r"test|train(-view-[1-9][0-9]*)?",


def tests(wildcards, method=None, shots=None):
    """Test sets of the run that a job's wildcards name."""
    method, shots = method or wildcards.method, int(wildcards.shots if shots is None else shots)
    return TESTS[method, wildcards.backbone, wildcards.dataset, shots]


def scores(artefact):
    """Score of each run that an artefact shows, once."""
    runs = RUNS if artefact is None else DESIGN.runs(artefact)
    return [f"{RESULTS}/runs/{run.folder}/score.json" for run in runs]


def published(artefact):
    """File of the paper's numbers for an artefact, where the suite shows them."""
    name = {**TABLES, **FIGURES}[artefact].lower().replace(" ", "")
    return f"{SUITE['published']}/{name}.csv" if SUITE["published"] else []


ALL_TABLES = [f"{RESULTS}/{name}.csv" for name in DESIGN.artefacts() if name in TABLES]
ALL_FIGURES = [f"{RESULTS}/figures/{name}.pdf" for name in DESIGN.artefacts() if name in FIGURES]
