# Inputs and arguments of scoring and gathering.


def tests_of(wildcards):
    """Return the test sets of a batch of runs, each once."""
    return list(dict.fromkeys(name for run in SCORES[wildcards.batch] for name in TESTS[run]))


def inputs_of_scores(wildcards):
    """Return the files of fitted batches, and the manifests with the test labels."""
    fits = dict.fromkeys(FIT_OF[run] for run in SCORES[wildcards.batch])
    return {
        "fitted": [FITTED.format(batch=name) for name in fits],
        "manifests": [MANIFEST.format(dataset=name) for name in tests_of(wildcards)],
    }


def scoring(wildcards, input):
    """Return the arguments of a batch: the file of its runs, its job, the manifests."""
    named = zip(tests_of(wildcards), input.manifests)
    return [
        *("--suite", with_jobs(SCORING_JOBS_FILE, SCORING_JOBS)),
        *("--digest", SCORING_DIGESTS[wildcards.batch], "--runs", f"{RESULTS}/{paths.RUNS_FOLDER}"),
        *("--manifests", *(f"{name}={path}" for name, path in named)),
    ]


def scored(runs):
    """Return the files of scored batches."""
    return [SCORED.format(batch=name) for name in dict.fromkeys(SCORE_OF[run] for run in runs)]


def resolved_suite(wildcards):
    """Return the configuration with defaults filled in, and the runs of every job."""
    return json_text(suite_content(SUITE, JOBS))


GATHERING = job("craft.evaluation.gather")
