# What a job needs, looked up in the dictionaries of common.smk.

from inspect import signature


def called_often(function):
    """A function that many jobs call, with its signature at hand.

    Snakemake asks for the signature two or three times per call; to derive it takes longer than
    the call itself.
    """
    function.__signature__ = signature(function)
    return function


def dataset_file(wildcards):
    """Description of the data set that a job's wildcards name."""
    return DATASET_FILES[wildcards.dataset]


def backbone_file(wildcards):
    """Description of a backbone."""
    return BACKBONE_FILES[wildcards.backbone]


def tree_of(name):
    """Folder of a data set's tree."""
    facts = FACTS[name]
    return facts["root"] if "root" in facts else f"{SUITE['data']}/{facts.get('folder', name)}"


def tree(wildcards):
    """Folder of the tree of the data set that a job's wildcards name."""
    return tree_of(wildcards.dataset)


def class_table(wildcards):
    """The project's table of class names, where a data set's own file is written from it."""
    table = FACTS[wildcards.dataset].get("class_table")
    folder = os.path.dirname(DATASET_FILES[wildcards.dataset])
    return os.path.normpath(os.path.join(folder, table)) if table else []


def whole(wildcards):
    """What says that a data set's tree is there, or what the user's own images are."""
    facts = FACTS[wildcards.dataset]
    if "root" in facts:
        return [
            os.path.join(facts["root"], facts[key]) for key in ("list", "classes") if key in facts
        ]
    if facts["kind"] == "mini":
        return f"{tree(wildcards)}/split.json"
    # Ancient: a tree that was fetched or looked at again still lists the same images.
    return ancient(expand(FETCHED, dataset=wildcards.dataset)) if SOURCES[wildcards.dataset] else []


def source_of(wildcards):
    """Manifest of the data set that a shifted test set is one of: it says which label is what."""
    return expand(MANIFEST, dataset=FACTS[wildcards.dataset].get("source", []))


def described(name):
    """What a data set's file says that a result depends on: not its label, nor its mirrors."""
    unread = ("label", "task", "licence", "only_listed", "released", "learner_options")
    return json.dumps({k: v for k, v in FACTS[name].items() if k not in unread}, sort_keys=True)


def trained(wildcards):
    """Data sets whose prompts one job tokenises."""
    return TRAINED if TOGETHER else [wildcards.dataset]


def encoded(wildcards):
    """(data set, part) of each set of images that one job encodes."""
    return ENCODED if TOGETHER else [(wildcards.dataset, wildcards.part)]


def descriptions_of_trained(wildcards):
    """Files of those data sets."""
    return [DATASET_FILES[name] for name in trained(wildcards)]


def manifests_of_trained(wildcards):
    """Manifests of those data sets."""
    return expand(MANIFEST, dataset=trained(wildcards))


def descriptions_of_encoded(wildcards):
    """Data set's file of each set of images."""
    return [DATASET_FILES[name] for name, _ in encoded(wildcards)]


def manifests_of_encoded(wildcards):
    """Manifest of each set of images."""
    return [MANIFEST.format(dataset=name) for name, _ in encoded(wildcards)]


def weights(wildcards):
    """Local weights of a backbone; none where they come from the hub."""
    return BACKBONES[wildcards.backbone]["weights"] or []


def drawn(wildcards):
    """Splits that say which training images to encode, where the pool is too large for all.

    Augmented copies are of drawn images only: there are many, and nothing else reads them.
    """
    if TOGETHER or wildcards.part == "test":
        return []
    if wildcards.part == "train" and FACTS[wildcards.dataset]["encode"] == "pool":
        return []
    return expand(SPLIT, dataset=wildcards.dataset, shots=SHOTS, seed=DESIGN.seeds)


def images(wildcards):
    """State of the image files that one job encodes: other images are encoded again.

    Snakemake asks again before the job starts, when the manifest is there.
    """
    splits = [Path(path) for path in drawn(wildcards)]
    return [
        current_images(
            FACTS[name],
            Path(tree_of(name)),
            Path(MANIFEST.format(dataset=name)),
            part.partition("-")[0],
            splits,
        )
        for name, part in encoded(wildcards)
    ]


# --- jobs that fit runs, and jobs that score them ---


def fitted(wildcards):
    """Runs of the job that wildcards name."""
    names = ("method", "backbone", "dataset", "shots", "seed")
    return RUNS_OF[tuple(wildcards[name] for name in names if name in wildcards.keys())]


def fast(backbone):
    """Whether a backbone's file promises the text tower that needs no open_clip."""
    return BACKBONES[backbone]["text"] == "fast"


@called_often
def what_to_fit(wildcards):
    """Arguments of the command that go by a job's wildcards, and the code of its learner.

    One function: Snakemake takes longer to call several, and to format what each returns.
    """
    cells = {
        run.shots: {
            "options": run.options.as_dict(),
            "tests": TESTS[run],
        }
        for run in fitted(wildcards)
    }
    named = {"learner": LEARNERS[wildcards.method], "cells": json.dumps(cells)}
    named |= {name: wildcards[name] for name in ("method", "backbone", "dataset")}
    arguments = [part for name, value in named.items() for part in (f"--{name}", value)]
    return {"arguments": arguments, "code": CODE[wildcards.method]}


@called_often
def train_features(wildcards):
    """Features of the training images, then of each augmented copy that the method uploads."""
    copies = dict.fromkeys(copy for run in fitted(wildcards) for copy in run.options.copies)
    parts = ["train", *(f"train-{copy}" for copy in copies)]
    return [FEATURES.replace("{part}", part) for part in parts]


def tests(wildcards):
    """Test sets of a job's runs, each once."""
    return list(dict.fromkeys(name for run in fitted(wildcards) for name in TESTS[run]))


@called_often
def test_features(wildcards):
    """Features of those test sets."""
    pattern = FEATURES.replace("{part}", "test")
    return [pattern.replace("{dataset}", name) for name in tests(wildcards)]


@called_often
def test_manifests(wildcards):
    """Manifests, and so the labels, of those test sets."""
    return [MANIFEST.replace("{dataset}", name) for name in tests(wildcards)]


@called_often
def named_features(wildcards, input):
    """NAME=PATH of the features of each test set."""
    return [f"{name}={path}" for name, path in zip(tests(wildcards), input.tests)]


@called_often
def named_manifests(wildcards, input):
    """NAME=PATH of the manifest of each test set."""
    return [f"{name}={path}" for name, path in zip(tests(wildcards), input.manifests)]


@called_often
def folder_of_runs(wildcards, output):
    """Folder below which a job's runs are, by shots and seed."""
    return output.record[0].rsplit("/", 3)[0]


@called_often
def folders_of_runs(wildcards, input):
    """Folder of each run that a job scores."""
    return [os.path.dirname(path) for path in input.records]


@called_often
def tests_of_runs(wildcards):
    """Test sets of each of them, as a command takes them."""
    return [",".join(TESTS[run]) for run in fitted(wildcards)]


# --- tables and figures ---


def scores(runs):
    """Score of each run."""
    return [f"{RESULTS}/runs/{run.folder}/score.json" for run in runs]


def sources(artefact):
    """What an artefact is made from: scores, or for the data sets' statistics their manifests."""
    if artefact == "dataset_statistics":
        return expand(MANIFEST, dataset=DESIGN.restrict(artefact)["facts"])
    return scores(DESIGN.runs(artefact))


def published(artefact):
    """The paper's numbers for an artefact, and notes on them, where the suite shows them."""
    place = {**TABLES, **FIGURES}[artefact]
    if not SUITE["published"] or place == OWN:
        return []
    names = [place.lower().replace(" ", ""), "notes"]
    return expand("{folder}/{name}.csv", folder=SUITE["published"], name=names)


def literal(text):
    """A parameter that is taken as it is: braces in it, of templates say, are no wildcards."""
    return lambda wildcards: text


def growing(amount):
    """A resource that each further attempt at a job gets once more of.

    For rules that are sent to a cluster; of one that is not, nothing else would end an attempt.
    """
    return called_often(lambda wildcards, attempt: amount * attempt)
