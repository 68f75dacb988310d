# The suite, its paths, the wildcards' constraints, and which runs there are: computed here once, so
# that no rule's function opens a file.

import copy
import gc
import json
import os
import re
import sys
from pathlib import Path

# Modules stay, and so do the many objects of a plan: to look for garbage among them, as often as
# Python does by default, takes a tenth of the time of planning the paper.
gc.freeze()
gc.set_threshold(50_000)

from craft.data.fingerprint import current_images
from craft.design.artefacts import ARTEFACTS, figures, tables
from craft.design.jobs import job_shapes, jobs_of, runs_of_jobs
from craft.design.request import manifests, request, request_of_all
from craft.design.runs import Design
from craft.files import paths, receipts
from craft.files.suite import suite_content, write_suite
from craft.files import shipped
from craft.files.shipped import find
from craft.files.receipts import Index
from craft.runtime.provenance import code_hash, config_hash
from craft.runtime.startup import start_problems

# Jobs get the python that runs this workflow, whether its environment is activated or not, and the
# package that it runs; learners of a user's own are found in the working folder.
SEARCHED = [str(ROOT), os.getcwd(), os.environ.get("PYTHONPATH")]
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=os.pathsep.join(filter(None, SEARCHED)),
    PYTHONSAFEPATH="1",
)

try:
    SUITE = load(config, source=" + ".join(map(os.path.relpath, CONFIG_FILES)))
except ConfigError as error:
    raise WorkflowError(str(error))

if workflow.is_main_process:
    places = (ROOT, SUITE["results"], SUITE["data"], ".snakemake")
    if problems := list(start_problems(*map(Path, places))):
        raise WorkflowError("\n".join(problems))

# For the user, and no part of the design.
for notice in SUITE.pop("notices"):
    if workflow.is_main_process:
        logger.warning(f"notice: {notice}")

# As it stands, for the reader of the results.
RESOLVED = copy.deepcopy(SUITE)

FACTS = SUITE["facts"]
# Where a data set may come from is no part of the design: another mirror re-makes nothing.
SOURCES = {name: fact.pop("sources", []) for name, fact in FACTS.items()}
for fact in FACTS.values():
    fact.get("split", {}).pop("sources", None)
# Nor is the device that computes (another one differs in last bits), nor how many cores do.
ON_DEVICE = {"device": SUITE.pop("device")}
ON_DEVICE["gpu"] = int(ON_DEVICE["device"] != "cpu")
ENCODE_CORES = SUITE.pop("encode_cores")
DESIGN = Design(SUITE)
BACKBONES = SUITE["backbone_facts"]
# Descriptions: a user's own of the working folder, or the project's.
DATASET_FILES = {name: str(find(f"{shipped.DATASETS}/{name}.yaml")) for name in FACTS}
BACKBONE_FILES = {name: str(find(f"{shipped.BACKBONES}/{name}.yaml")) for name in BACKBONES}

# --- paths: the design of the experiment, spelled out ---

RESULTS = SUITE["results"]
FETCHED = f"{RESULTS}/{paths.FETCHED}"
MANIFEST = f"{RESULTS}/{paths.MANIFEST}"
SPLIT = f"{RESULTS}/{paths.SPLIT}"
TOWER = f"{RESULTS}/{paths.TOWER}"
PROMPTS = f"{RESULTS}/{paths.PROMPTS}"
FEATURES = f"{RESULTS}/{paths.FEATURES}"
SUITE_FILE = f"{RESULTS}/{paths.SUITE}"
RUN = f"{RESULTS}/{paths.RUN}"
REQUEST = f"{RESULTS}/{paths.REQUEST}"
GATHERED = f"{RESULTS}/{paths.GATHERED}"
LOG = f"{RESULTS}/{paths.LOGS}"
BENCHMARK = f"{RESULTS}/{paths.BENCHMARKS}"

# The data sets of a backbone share a job, and its log, where the config says so.
TOGETHER = SUITE["encode_together"]
TOKENISING = "{backbone}" if TOGETHER else "{backbone}/{dataset}"
ENCODING = "{backbone}" if TOGETHER else "{backbone}/{dataset}/{part}"

# Checksums of files, kept from one call to the next.
INDEX = Index(Path(RESULTS, receipts.INDEX))


def planned(*modules):
    """Argument by which a command refuses to be another code than the one planned with."""
    return ["--code", f"{','.join(modules)}={code_hash(*modules)}"]


# --- which runs there are ---

RUNS = DESIGN.all_runs
SHOTS = sorted({run.shots for run in RUNS if run.shots})
TESTS = {run: DESIGN.tests_of(run) for run in RUNS}
METHODS = {run.method for run in RUNS}
LEARNERS = {run.method: run.learner for run in RUNS}
CODE = {
    method: planned("craft.fit.__main__", LEARNERS[method].partition(":")[0]) for method in METHODS
}

# Shapes of the jobs that fit runs and of those that score them, and the runs of every job.
PER_JOB = SUITE["runs_per_job"]
FITS = job_shapes(RUNS, PER_JOB)
SCORES = job_shapes(RUNS, "shots" if PER_JOB == "shots" else "seeds")
RUNS_OF = runs_of_jobs(RUNS)
JOBS = jobs_of(DESIGN, PER_JOB)

# Data sets that learners are trained on, and every (data set, part) that some run reads.
TRAINED = sorted({run.dataset for run in RUNS})
COPIES = {
    name: dict.fromkeys(copy for run in RUNS if run.dataset == name for copy in run.options.copies)
    for name in TRAINED
}
ENCODED = [
    *(
        (name, part)
        for name in TRAINED
        for part in ["train", *(f"train-{copy}" for copy in COPIES[name])]
    ),
    *((name, "test") for name in sorted({name for names in TESTS.values() for name in names})),
]


def together(pattern):
    """What one job of a backbone has of a path with {dataset}, or {dataset} and {part}."""
    if not TOGETHER:
        return pattern
    if "{part}" not in pattern:
        return expand(pattern, dataset=TRAINED, allow_missing=True)
    return [
        expand(pattern, dataset=name, part=part, allow_missing=True)[0] for name, part in ENCODED
    ]


def one_of(names):
    """A wildcard's constraint: one of these names; none at all where there are none."""
    return "|".join(map(re.escape, sorted(names, key=str))) or "(?!)"


# Name of the request for all runs, among those of artefacts.
SUITE_REQUEST = "suite"
ASKED = DESIGN.artefacts()


wildcard_constraints:
    artefact=one_of(ASKED),
    backbone=one_of(BACKBONES),
    dataset=one_of(FACTS),
    shots=one_of(map(str, SHOTS)),
    seed=one_of(map(str, DESIGN.seeds)),
    part=r"test|train(-(view|crop|end)-[1-9][0-9]*)?",


# Snakemake itself sees that these are missing only where they are targets.
RECORDS = [paths.at(RESULTS, paths.RECORD, **run.identity) for run in RUNS]
MANIFESTS = expand(MANIFEST, dataset=FACTS)

ALL_TABLES = [
    f"{RESULTS}/{paths.TABLE}.csv".format(artefact=each.name)
    for each in tables()
    if each.name in ASKED
]
ALL_FIGURES = [
    f"{RESULTS}/{paths.FIGURE}.pdf".format(artefact=each.name)
    for each in figures()
    if each.name in ASKED
]
