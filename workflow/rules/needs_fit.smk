# Inputs and arguments of fits, and the files that describe their jobs. Arguments are quoted here:
# Snakemake formats the command of a job three times.

import shlex

# A service runs its own text tower.
PLAIN = {name for name, facts in BACKBONES.items() if facts["text"] != "fast" and not served(name)}
PLAIN_ENV, LEARNER_ENV = "../../envs/plain.yaml", "../../envs/learner.yaml"
# Name of each job -> hash of its runs and options.
DIGESTS = {name: job.digest for name, job in JOBS.items()}
SCORING_DIGESTS = DIGESTS if ALIKE else {n: job.digest for n, job in SCORING_JOBS.items()}
# Files with the runs of every job. Their names depend on their content, so concurrent calls do not
# replace them. They are not inputs: they hold more than one job depends on, and an ancient input
# that is made again hides from Snakemake that a job's own parameters have changed.
JOBS_FILE, SCORING_JOBS_FILE = (
    f"{RESULTS}/{paths.CACHE}/jobs/{config_hash(digests)}.json"
    for digests in (DIGESTS, SCORING_DIGESTS)
)
SPLITS_FOLDER = os.path.dirname(os.path.dirname(SPLIT))
FIT_SETTINGS = shlex.join(
    [
        *("--dtype", SUITE["dtype"], TF32),
        # Not {threads}, which is less where --cores is: the bytes would be the machine's.
        *("--threads", str(SUITE["fit_threads"])),
        *("--out", f"{RESULTS}/{paths.RUNS_FOLDER}", "--cache", f"{RESULTS}/{paths.CACHE}/fit"),
    ]
)
CODE = {
    learner: planned("craft.fit.__main__", learner.partition(":")[0])
    for learner in {run.learner for run in RUNS}
}


def inputs_of_fit(wildcards):
    """Return the inputs of a batch: tower, prompts, features and splits of its data set."""
    runs = FITS[wildcards.batch]
    at = {"backbone": runs[0].backbone, "dataset": runs[0].dataset}
    trained = [run for run in runs if run.shots]
    parts = dict.fromkeys(part for run in trained for part in training_parts(run))
    tests = dict.fromkeys(name for run in runs for name in TESTS[run])
    encoding = any(run.options.encodes_images for run in runs)
    return {
        "tower": TOWER.format(**at),
        "image_tower": IMAGE_TOWER.format(**at) if encoding else [],
        "train_pixels": [PIXELS.format(part=part, **at) for part in parts if encoding],
        "test_pixels": [test_part(PIXELS, runs[0].backbone, name) for name in tests if encoding],
        "codes": codes_of(runs),
        "prompts": PROMPTS.format(**at),
        "train": [FEATURES.format(part=part, **at) for part in parts],
        "splits": [SPLIT.format(shots=run.shots, seed=run.seed, **at) for run in trained],
        "tests": [test_part(FEATURES, runs[0].backbone, name) for name in tests],
    }


def codes_of(runs):
    """Return the features of the user's own images by the encoders of runs, each once."""
    roles = (DESIGN.inputs(run).items() for run in runs if run.options.own_codes)
    found = (path for items in roles for role, path in items if role.startswith("codes/"))
    return [f"{RESULTS}/{path}" for path in dict.fromkeys(found)]


def test_part(pattern, backbone, name):
    """Return the file of a test set's images."""
    return pattern.format(backbone=backbone, dataset=name, part="test")


def fitting(wildcards):
    """Return the arguments that decide a batch's bytes, besides its inputs."""
    runs = FITS[wildcards.batch]
    tests = dict.fromkeys(name for run in runs for name in TESTS[run])
    encoding = any(run.options.encodes_images for run in runs)
    return shlex.join(
        [
            *("--digest", DIGESTS[wildcards.batch], *CODE[runs[0].learner]),
            *("--splits", SPLITS_FOLDER.format(dataset=runs[0].dataset)),
            *(
                "--tests",
                *(f"{name}={test_part(FEATURES, runs[0].backbone, name)}" for name in tests),
            ),
            "--test-pixels",
            *(f"{name}={test_part(PIXELS, runs[0].backbone, name)}" for name in tests if encoding),
        ]
    )


def where_found(wildcards, input):
    """Return the file with the runs of every job, and the address of a batch's service.

    The model is the same at another address. As a function of ``input`` this re-runs nothing.
    """
    service = SERVICES.get(FITS[wildcards.batch][0].backbone)
    address = ["--service", service["url"], "--key-variable", service["key"]] if service else []
    return shlex.join(["--suite", with_jobs(JOBS_FILE, JOBS), *address])


def with_jobs(path, jobs):
    """Return a file with the runs of jobs, written at the first call, but not in a dry-run."""
    if not (workflow.dryrun or os.path.exists(path)):
        try:
            write_suite(path, suite_content({}, jobs))
        except OSError as error:
            why = str(error.strerror).removeprefix("cannot be written: ")
            raise WorkflowError(
                f"results: expected a folder that can be made ({why}), got {RESULTS!r}"
            )
    return path


def environment_of_fit(wildcards):
    """Return the environment of a fit; a plain text tower needs one with open_clip."""
    return PLAIN_ENV if FITS[wildcards.batch][0].backbone in PLAIN else LEARNER_ENV
