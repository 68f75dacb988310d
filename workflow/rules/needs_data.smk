# Inputs and arguments of the jobs of a data set.


def listing_threads(wildcards):
    """Return the cores of the job that lists a data set, which also decodes a user's images."""
    return ENCODE_CORES if "root" in DATASETS[wildcards.dataset] else 1


def rendering():
    """Return arguments of the job that renders a data set."""
    return job("craft.mini.render", development=SUITE["development"])


def listing(name):
    """Return arguments of the job that lists a data set."""
    return job("craft.data.manifest", described=described(name))


def listing_of(wildcards):
    """Return the arguments for the data set of a job's wildcards."""
    return listing(wildcards.dataset)


def drawing(name):
    """Return arguments of the job that draws a data set's splits."""
    return job("craft.data.splits", repeat=DATASETS[name]["repeat"])


def drawing_of(wildcards):
    """Return the arguments for the data set of a job's wildcards, with further ones."""
    name = wildcards.dataset
    repeat = ["--repeat"] if DATASETS[name]["repeat"] else []
    return ["--out-pattern", SPLIT.replace("{dataset}", name), *repeat, *drawing(name)]


SPLITS = expand(SPLIT, shots=SHOTS, seed=DESIGN.seeds, allow_missing=True)
