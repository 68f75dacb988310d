"""The layout of a suite's results, for rules and library alike: each file's path below the folder
that the configuration calls ``results``. Names in braces are wildcards to Snakemake and fields to
:func:`at`; the folders of a run spell the design of the experiment."""

from __future__ import annotations

#: Folders of a number of shots and of a seed, wherever there is one of each.
SHOTS, SEED = "shots-{shots}", "seed-{seed}"

#: A method on a data set, and one run of it.
CELL = "{method}/{backbone}/{dataset}"
RUN_OF_CELL = f"{SHOTS}/{SEED}"

# --- what runs are made from ---

#: Where a data set's tree came from.
FETCHED = "fetched/{dataset}.json"
MANIFEST = "manifests/{dataset}.csv"
#: Beside the manifest: what is remarkable of its images.
REPORT = "manifests/{dataset}.json"
SPLIT = f"splits/{{dataset}}/{SHOTS}/{SEED}.json"
TOWER = "backbones/{backbone}/text.safetensors"
IMAGE_TOWER = "backbones/{backbone}/image.safetensors"
PROMPTS = "prompts/{backbone}/{dataset}.json"
FEATURES_FOLDER, PIXELS_FOLDER = "features", "pixels"
FEATURES = f"{FEATURES_FOLDER}/{{backbone}}/{{dataset}}/{{part}}.safetensors"
#: Decoded images, for fits that have images encoded.
PIXELS = f"{PIXELS_FOLDER}/{{backbone}}/{{dataset}}/{{part}}.safetensors"

# --- runs ---

RUNS_FOLDER = "runs"

#: The resolved configuration, and what each job of it is to do.
SUITE = "suite.json"

RUN = f"{RUNS_FOLDER}/{CELL}/{RUN_OF_CELL}"
#: In the folder of a run, beside craft.files.records.RUN_FILES.
RECORD_NAME, SCORE_NAME = "record.json", "score.json"
RECORD = f"{RUN}/{RECORD_NAME}"
SCORE = f"{RUN}/{SCORE_NAME}"

#: What the job of a batch of runs is done with; the runs' files lie below the same folder.
FITTED = f"{RUNS_FOLDER}/{{batch}}/fitted.json"
SCORED = f"{RUNS_FOLDER}/{{batch}}/scored.json"

# --- what is made of them ---

RUNS = "runs.csv"
PROVENANCE = "provenance.json"
#: The same for readers of RO-Crates, and the copy of the workflow that the crate describes.
CRATE = "ro-crate-metadata.json"
WORKFLOW = "workflow"
#: What an artefact asks for, and the tidy data that it is made from.
REQUEST = "gathered/{artefact}.json"
GATHERED = "gathered/{artefact}.csv"
#: Without their suffixes.
TABLE = "{artefact}"
FIGURE = "figures/{artefact}"

#: Pages of the report beside these.
OVERVIEW = "report/overview.html"
METHOD_PAGE = "report/methods/{method}.html"

# --- beside the results ---

LOGS = "logs"
BENCHMARKS = "benchmarks"
CACHE = "cache"
#: Checksums of files, and the lock of the one Snakemake that works on a suite.
INDEX = f"{CACHE}/index.json"
LOCK = f"{CACHE}/snakemake.lock"


def at(results: str, pattern: str, **names: object) -> str:
    """Return the path of a pattern below the folder ``results``, with its names filled in.

    Raises KeyError for a name of the pattern that is not given.
    """
    return f"{results}/{pattern.format(**names)}"
