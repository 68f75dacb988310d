# What a job needs, looked up in the dictionaries of common.smk.

from functools import cache
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


def lists_of(name):
    """Files that say which images a data set has, where a person or the suite writes them."""
    facts = FACTS[name]
    if "root" in facts:
        return [
            os.path.join(facts["root"], facts[key]) for key in ("list", "classes") if key in facts
        ]
    return [f"{tree_of(name)}/split.json"] if facts["kind"] == "mini" else []


def whole(wildcards):
    """What says that a data set's tree is there, or what the user's own images are."""
    if SOURCES[wildcards.dataset]:
        # Ancient: a tree that was fetched or looked at again still lists the same images.
        return ancient(expand(FETCHED, dataset=wildcards.dataset))
    return lists_of(wildcards.dataset)


def source_of(wildcards):
    """Manifest of the data set that a shifted test set is one of: it says which label is what."""
    return source_manifest(wildcards.dataset)


def source_manifest(name):
    """That manifest by the data set's name."""
    return expand(MANIFEST, dataset=FACTS[name].get("source", []))


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
    """Splits that say which training images to encode, where the pool is too large for all."""
    if TOGETHER:  # one job has no part of its own
        return []
    return drawn_of(wildcards.dataset, wildcards.part)


def drawn_of(name, part):
    """Those of a data set's part.

    Augmented copies are of drawn images only: there are many, and nothing else reads them.
    """
    if TOGETHER or part == "test" or part == "train" and FACTS[name]["encode"] == "pool":
        return []
    return expand(SPLIT, dataset=name, shots=SHOTS, seed=DESIGN.seeds)


# --- what makes a file what it is, for its receipt ---

RENDERING = "craft.mini.render"
LISTING = "craft.data.manifest"
DRAWING = "craft.data.splits"
EXPORTING = "craft.blackbox.backbones.export"
TOKENISING_CODE = "craft.blackbox.text.prompts"
ENCODING_CODE = "craft.blackbox.images.__main__"
SCORING = "craft.evaluation.score"
GATHERING = "craft.evaluation.gather"


def job(*modules, **settings):
    """Arguments by which a command refuses to be another code, and leaves receipts."""
    return [*planned(*modules), "--receipt", receipt_key(modules, settings)]


def receipt_key(modules, settings):
    """Key of the receipts of a job, without paths, cores and device."""
    return config_hash({"code": code_hash(*modules), "settings": settings})


def listing(dataset):
    """Of a data set's manifest."""
    return job(LISTING, described=described(dataset))


def drawing(dataset):
    """Of a data set's splits."""
    return job(DRAWING, repeat=FACTS[dataset]["repeat"])


def tokenising(datasets):
    """Of the prompts of data sets that share a job."""
    return job(TOKENISING_CODE, described=[described(name) for name in datasets])


def encoding(parts):
    """Of the features of (data set, part) that share a job."""
    return job(ENCODING_CODE, described=[[described(name), part] for name, part in parts])


def making(wildcards):
    """Of a table or a figure, whose command loads the module that makes it by its name."""
    artefact = ARTEFACTS[wildcards.artefact]
    command = f"craft.report.{artefact.kind}s.__main__"
    paper = [INDEX.sha256(path) for path in published(wildcards)]
    return job(command, artefact.module, published=paper)


def current(outputs):
    """An input function that adds no input, but lets stale files behind a job's own be made again.

    As --forcerun would, but for the jobs of the targets alone: Snakemake says nowhere which these
    are before it asks for their inputs.
    """

    def look(wildcards):
        for path in [outputs] if isinstance(outputs, str) else outputs:
            for name, value in wildcards.items():
                path = path.replace(f"{{{name}}}", value)
            for stale, why in GRAPH.stale(path).items():
                workflow.dag.forcefiles.add(stale)
                if not GRAPH.derived(stale):
                    logger.info(f"{stale}: {why}; made again")
        return []

    return look if workflow.is_main_process else []


def image_states(name, part):
    """State of the image files of a data set's part: other images are encoded again."""
    splits = [Path(path) for path in drawn_of(name, part)]
    manifest = Path(MANIFEST.format(dataset=name))
    place = part.partition("-")[0]
    return [current_images(FACTS[name], Path(tree_of(name)), manifest, place, splits)]


# --- jobs that fit runs, and jobs that score them ---


def job_of(wildcards):
    """Path of the job that wildcards name: what it does not hold is no part of it."""
    parts = (("dataset", paths.CELL), ("shots", paths.SHOTS), ("seed", paths.SEED))
    return "/".join(part for name, part in parts if name in wildcards.keys()).format(**wildcards)


def fitted(wildcards):
    """Runs of the job that wildcards name."""
    return RUNS_OF[job_of(wildcards)]


def fast(backbone):
    """Whether a backbone's file promises the text tower that needs no open_clip."""
    return BACKBONES[backbone]["text"] == "fast"


@called_often
def what_to_fit(wildcards):
    """Arguments by which a command finds its job as planned, with the code of its learner."""
    name = job_of(wildcards)
    return ["--job", name, "--digest", JOBS[name].digest, *CODE[wildcards.method]]


@called_often
def folder_of_splits(wildcards, input):
    """Argument with the folder below which the data set's splits are, by shots and seed."""
    return ["--splits", input.splits[0].rsplit("/", 2)[0]]


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
    """Folder below which all runs are."""
    return output.record[0].rsplit("/", 6)[0]


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
    return [paths.at(RESULTS, paths.SCORE, **run.identity) for run in runs]


def request_of(wildcards):
    """What an artefact asks for, or the whole suite."""
    return asked_by(wildcards.artefact)


@cache
def asked_by(artefact):
    """The same by name."""
    return request_of_all(DESIGN) if artefact == SUITE_REQUEST else request(DESIGN, artefact)


def sources(wildcards):
    """What an artefact is made from: scores, or where it counts images manifests."""
    return DESIGN.sources(wildcards.artefact)


def published(wildcards):
    """The paper's numbers for an artefact, and notes on them, where the suite shows them."""
    printed = ARTEFACTS[wildcards.artefact].printed
    if not SUITE["published"] or not printed:
        return []
    return expand("{folder}/{name}.csv", folder=SUITE["published"], name=[printed, "notes"])


def about(wildcards):
    """What the report says of an artefact."""
    return ARTEFACTS[wildcards.artefact].described(SUITE["suite"])


def heading(wildcards):
    """What an artefact is called."""
    return ARTEFACTS[wildcards.artefact].heading(SUITE["suite"])


def label_of(wildcards):
    """Its label in the report, whose pages list artefacts of one kind each."""
    return {ARTEFACTS[wildcards.artefact].kind: heading(wildcards)}


def growing(amount):
    """A resource that each further attempt at a job gets once more of.

    For rules that are sent to a cluster; of one that is not, nothing else would end an attempt.
    """
    return called_often(lambda wildcards, attempt: amount * attempt)
