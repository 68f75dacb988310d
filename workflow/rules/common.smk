# Paths, wildcards and the runs of every job, computed once: no function of a rule opens a file.

import json
import os
import re
import sys
from pathlib import Path

from craft.data.fingerprint import current_images
from craft.design.jobs import batches, jobs_of
from craft.design.artefacts import ARTEFACTS, figures, tables
from craft.design.request import manifests, request, request_of_all
from craft.design.runs import Design
from craft.files import paths
from craft.files.atomic import json_text
from craft.files.shipped import BACKBONES as BACKBONE_FOLDER
from craft.files.shipped import DATASETS as DATASET_FOLDER
from craft.files.shipped import find
from craft.files.suite import suite_content, write_suite

DATASETS = SUITE["facts"]
# Sources of a data set are not part of the design: another mirror makes no result again.
SOURCES = {name: facts.pop("sources", []) for name, facts in DATASETS.items()}
for facts in DATASETS.values():
    facts.get("split", {}).pop("sources", None)
# Nor are the device (another one differs in the last digits) and the number of cores.
ON_DEVICE = {"device": SUITE.pop("device")}
ON_DEVICE["gpu"] = int(ON_DEVICE["device"] != "cpu")
TF32 = "--tf32" if SUITE.pop("tf32") else "--no-tf32"
ENCODE_CORES = SUITE.pop("encode_cores")
BACKBONES = SUITE["backbone_facts"]
# Nor are the address and the prices of a service; the service itself states its model.
SERVICES = {
    name: {key: facts.pop(key) for key in ("url", "key")}
    for name, facts in BACKBONES.items()
    if facts["kind"] == "http"
}
for facts in BACKBONES.values():
    facts.pop("price", None)
DESIGN = Design(SUITE)

# Jobs use the Python and the package that run this workflow, even if its environment is not
# activated; a user's own learners are found in the working folder. A conda environment has its own
# Python, and gets this path from profiles/conda.
SEARCHED = [str(ROOT), os.getcwd(), os.environ.get("PYTHONPATH")]
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=os.pathsep.join(filter(None, SEARCHED)),
    PYTHONSAFEPATH="1",
)

# --- paths ---

RESULTS = SUITE["results"]
LOGS, BENCHMARKS = f"{RESULTS}/{paths.LOGS}", f"{RESULTS}/{paths.BENCHMARKS}"
SUITE_FILE = f"{RESULTS}/{paths.SUITE}"
FETCHED = f"{RESULTS}/{paths.FETCHED}"
MANIFEST = f"{RESULTS}/{paths.MANIFEST}"
SPLIT = f"{RESULTS}/{paths.SPLIT}"
TOWER = f"{RESULTS}/{paths.TOWER}"
IMAGE_TOWER = f"{RESULTS}/{paths.IMAGE_TOWER}"
PROMPTS = f"{RESULTS}/{paths.PROMPTS}"
FEATURES = f"{RESULTS}/{paths.FEATURES}"
PIXELS = f"{RESULTS}/{paths.PIXELS}"
FITTED = f"{RESULTS}/{paths.FITTED}"
SCORED = f"{RESULTS}/{paths.SCORED}"
REQUEST = f"{RESULTS}/{paths.REQUEST}"
GATHERED = f"{RESULTS}/{paths.GATHERED}"
ALL_RUNS = f"{RESULTS}/{paths.RUNS}"
PROVENANCE = f"{RESULTS}/{paths.PROVENANCE}"
CRATE = f"{RESULTS}/{paths.CRATE}"

# Descriptions: the user's in the working folder, else the project's.
DATASET_FILES = {name: str(find(f"{DATASET_FOLDER}/{name}.yaml")) for name in DATASETS}
BACKBONE_FILES = {name: str(find(f"{BACKBONE_FOLDER}/{name}.yaml")) for name in BACKBONES}

# --- runs, and the batches of them that share a job ---

RUNS = DESIGN.all_runs
SHOTS = sorted({run.shots for run in RUNS if run.shots})
TESTS = {run: DESIGN.tests_of(run) for run in RUNS}
FITS = batches(RUNS, SUITE["runs_per_job"])
# Scoring takes less time than its process does to start.
SCORED_TOGETHER = "shots" if SUITE["runs_per_job"] == "shots" else "seeds"
SCORES = batches(RUNS, SCORED_TOGETHER)
JOBS = jobs_of(DESIGN, SUITE["runs_per_job"])
ALIKE = SCORED_TOGETHER == SUITE["runs_per_job"]
SCORING_JOBS = JOBS if ALIKE else jobs_of(DESIGN, SCORED_TOGETHER)
FIT_OF = {run: name for name, runs in FITS.items() for run in runs}
SCORE_OF = {run: name for name, runs in SCORES.items() for run in runs}


def training_parts(run):
    """Return the parts that train a run: the images, then copies of them."""
    return ["train", *(f"train-{copy}" for copy in run.options.copies)]


# Data sets that learners are trained on, and every (data set, part) that some run reads.
TRAINED = sorted({run.dataset for run in RUNS})
COPIES = {
    name: dict.fromkeys(copy for run in RUNS if run.dataset == name for copy in run.options.copies)
    for name in TRAINED
}
ENCODED = [
    *(
        (name, f"train{part}")
        for name in TRAINED
        for part in ["", *(f"-{c}" for c in COPIES[name])]
    ),
    *((name, "test") for name in sorted({name for names in TESTS.values() for name in names})),
]
# Runs that encode images, and every (data set, part) that is decoded for them.
ENCODING = [run for run in RUNS if run.options.encodes_images]
DECODED = sorted(
    {(run.dataset, part) for run in ENCODING for part in training_parts(run)}
    | {(name, "test") for run in ENCODING for name in TESTS[run]}
)
# With encode_together, the data sets of a backbone share a job and its log.
TOGETHER = SUITE["encode_together"]


def one_of(names):
    """Return a wildcard's constraint to these names; without names, nothing matches."""
    return "|".join(map(re.escape, sorted(map(str, names)))) or "(?!)"


def together(pattern, sets=ENCODED):
    """Return the files of one job of a backbone for a path with {dataset}, or also {part}."""
    if not TOGETHER:
        return pattern
    if "{part}" not in pattern:
        return expand(pattern, dataset=TRAINED, allow_missing=True)
    return [expand(pattern, dataset=d, part=p, allow_missing=True)[0] for d, p in sets]


# Name of the request for all runs, beside those of the artefacts.
SUITE_REQUEST = "suite"
ASKED = DESIGN.artefacts()


wildcard_constraints:
    backbone=one_of(BACKBONES),
    dataset=one_of(DATASETS),
    # Not a list of names: Snakemake matches a constraint again for every path.
    batch="[^/]+/[^/]+/[^/]+(/shots-[0-9]+(/seed-[0-9]+)?)?",
    part="test|train(-(view|crop|end|cutout)-[1-9][0-9]*)?",
    artefact=one_of(ASKED),


# Snakemake itself sees that these are missing only where they are targets.
FITTED_RUNS = [FITTED.format(batch=name) for name in FITS]
MANIFESTS = expand(MANIFEST, dataset=DATASETS)

ALL_TABLES = [f"{RESULTS}/{each.files[0]}" for each in tables() if each.name in ASKED]
ALL_FIGURES = [f"{RESULTS}/{each.files[0]}" for each in figures() if each.name in ASKED]
ARTEFACT_FILES = [f"{RESULTS}/{path}" for name in ASKED for path in ARTEFACTS[name].files]
