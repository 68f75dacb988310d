# Inputs and arguments of jobs, looked up in the dictionaries of common.smk.


def served(backbone):
    """Return whether a backbone is behind a service."""
    return backbone in SERVICES


def calls_of(backbone):
    """Return the resource of jobs that ask a service; ``backbone`` is a function of wildcards."""
    if not SERVICES:
        return {}
    return {"service_calls": lambda wildcards: int(served(backbone(wildcards)))}


def dataset_file(wildcards):
    """Return the description of a data set."""
    return DATASET_FILES[wildcards.dataset]


def backbone_file(wildcards):
    """Return the description of a backbone."""
    return BACKBONE_FILES[wildcards.backbone]


def weights(wildcards):
    """Return the local weights of a backbone; nothing if they come from the hub."""
    return BACKBONES[wildcards.backbone]["weights"] or []


def tree_of(name):
    """Return the folder of a data set's images."""
    facts = DATASETS[name]
    return facts["root"] if "root" in facts else f"{SUITE['data']}/{facts.get('folder', name)}"


def tree(wildcards):
    """Return the folder of the images of a job's data set."""
    return tree_of(wildcards.dataset)


def class_table(wildcards):
    """Return the table of class names from which a data set's own file is written."""
    table = DATASETS[wildcards.dataset].get("class_table")
    folder = os.path.dirname(DATASET_FILES[wildcards.dataset])
    return os.path.normpath(f"{folder}/{table}") if table else []


def lists_of(name):
    """Return the lists of a data set's images that a user or the suite writes."""
    facts = DATASETS[name]
    if "root" in facts:
        return [f"{facts['root']}/{facts[key]}" for key in ("list", "classes") if key in facts]
    return [f"{tree_of(name)}/split.json"] if facts["kind"] == "mini" else []


def whole_tree(wildcards):
    """Return the file that marks a data set's images as complete, or lists them."""
    if SOURCES[wildcards.dataset]:
        # Ancient: fetching or checking a tree again does not change its images.
        return ancient(expand(FETCHED, dataset=wildcards.dataset))
    return lists_of(wildcards.dataset)


def origin_of(name):
    """Return the manifest of the source of a shifted test set."""
    return expand(MANIFEST, dataset=DATASETS[name].get("source", []))


def origin_manifest(wildcards):
    """Return the manifest of the source of a job's data set."""
    return origin_of(wildcards.dataset)


def described(name):
    """Return the part of a data set's description that results depend on."""
    unread = ("label", "task", "licence", "only_listed", "released", "learner_options")
    return {key: value for key, value in DATASETS[name].items() if key not in unread}


def growing(amount):
    """Return a resource that grows by its first amount with each attempt at a job.

    For rules that are sent to a cluster; of one that is not, nothing else would end an attempt.
    """
    return lambda wildcards, attempt: amount * attempt
