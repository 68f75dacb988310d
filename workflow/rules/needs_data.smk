# What a data set's jobs need.


def listing_threads(wildcards):
    """Return cores that list a data set: images of a user's own are decoded meanwhile."""
    return ENCODE_CORES if "root" in DATASETS[wildcards.dataset] else 1


def rendering():
    """Return arguments of the job that renders a data set."""
    return job("craft.mini.render", development=SUITE["development"])


def listing(name):
    """Return arguments of the job that lists a data set."""
    return job("craft.data.manifest", described=described(name))


def listing_of(wildcards):
    """Return those of the data set that a job's wildcards name."""
    return listing(wildcards.dataset)


def drawing(name):
    """Return arguments of the job that draws a data set's splits."""
    return job("craft.data.splits", repeat=DATASETS[name]["repeat"])


def drawing_of(wildcards):
    """Return those of the data set that a job's wildcards name, with what else it is told."""
    name = wildcards.dataset
    repeat = ["--repeat"] if DATASETS[name]["repeat"] else []
    return ["--out-pattern", SPLIT.replace("{dataset}", name), *repeat, *drawing(name)]


SPLITS = expand(SPLIT, shots=SHOTS, seed=DESIGN.seeds, allow_missing=True)
