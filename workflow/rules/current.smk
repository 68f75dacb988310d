# Results of another configuration, code or input are made again, even if Snakemake's metadata says
# that they are current. That metadata does not move with the results. Snakemake ignores a missing
# file behind an existing target, and a failed job deletes its outputs but not files made from them.

import atexit
from functools import partial
from types import SimpleNamespace

from craft.evaluation.staleness import expected_of, record_problem, score_problem
from craft.files.atomic import read_json
from craft.files.receipts import problem


def received(outputs, inputs, arguments, present=(), states=list, behind=None):
    """Add files that one job makes, with a receipt each.

    Of ``present`` is asked only to be there; ``states`` returns hashes of what is read besides;
    ``behind`` are files of the graph that ``inputs`` are part of.
    """
    key = arguments[arguments.index("--receipt") + 1]

    def check():
        found = (problem(path, key, inputs, states(), INDEX) for path in outputs)
        return next(filter(None, found), None)

    GRAPH.add(outputs[0], inputs if behind is None else behind, check, present)


def add_dataset(name):
    """Add a data set's tree and manifest."""
    tree, fetched = lists_of(name), []
    if DATASETS[name]["kind"] == "mini":
        received(tree, [], rendering())
    elif SOURCES[name]:
        fetched = expand(FETCHED, dataset=name)
        GRAPH.add(fetched[0], [], lambda: None)
    outputs = expand([MANIFEST, f"{RESULTS}/{paths.REPORT}"], dataset=name)
    received(outputs, [*tree, *origin_of(name)], listing(name), fetched)


def add_backbone(backbone):
    """Add a backbone's towers, its prompts, features and decoded images."""
    facts = [BACKBONE_FILES[backbone]]
    model = facts + ([BACKBONES[backbone]["weights"]] if BACKBONES[backbone]["weights"] else [])
    asked = backbone in SUITE["backbones"]  # or it encodes the user's own images alone
    if asked:
        received(expand(TOWER, backbone=backbone), model, exporting(backbone, "text"))
        received(expand(IMAGE_TOWER, backbone=backbone), model, EXPORTING["image"])
    for name in TRAINED if asked else []:
        manifest = expand(MANIFEST, dataset=name)
        names = TRAINED if TOGETHER else [name]
        prompts = expand(PROMPTS, backbone=backbone, dataset=name)
        received(prompts, [*facts, *manifest], tokenising(backbone, names))
    for name, part in ENCODED:
        sets = ENCODED if TOGETHER else [(name, part)]
        drawn = drawn_of(backbone, name, part)
        read = [*model, *expand(MANIFEST, dataset=name), *drawn]
        features = expand(FEATURES, backbone=backbone, dataset=name, part=part)
        states = partial(image_states, name, part, drawn)
        received(features, read, encoding(backbone, sets), (), states)
    for name, part in DECODED if asked else []:
        sets = DECODED if TOGETHER else [(name, part)]
        drawn = drawn_for_decoding([(name, part)])
        read = [*facts, *expand(MANIFEST, dataset=name), *drawn]
        pixels = expand(PIXELS, backbone=backbone, dataset=name, part=part)
        received(pixels, read, decoding(sets), (), partial(image_states, name, part, drawn))


def file_of(run, pattern):
    """Return a file of a run."""
    return f"{RESULTS}/{pattern.format(**run.identity)}"


def read_by(runs):
    """Return the input files of runs, each once."""
    found = (path for run in runs for path in DESIGN.inputs(run).values())
    return list(dict.fromkeys(f"{RESULTS}/{path}" for path in found))


def records_problem(runs):
    """Return the problem of the first stale record in a batch of runs; None if all are current."""
    found = (
        record_problem(file_of(run, paths.RECORD), expected_of(DESIGN, run, INDEX), INDEX)
        for run in runs
    )
    return next(filter(None, found), None)


def scores_problem(runs):
    """Return the problem of the first stale score in a batch of runs; None if all are current."""
    found = (
        score_problem(
            file_of(run, paths.SCORE),
            file_of(run, paths.RECORD),
            expected_of(DESIGN, run, INDEX),
            INDEX,
        )
        for run in runs
    )
    return next(filter(None, found), None)


def add_batches():
    """Add the files of fitted and scored batches of runs."""
    for name, runs in FITS.items():
        GRAPH.add(FITTED.format(batch=name), read_by(runs), partial(records_problem, runs))
    for name, runs in SCORES.items():
        fits = dict.fromkeys(FITTED.format(batch=FIT_OF[run]) for run in runs)
        path = SCORED.format(batch=name)
        GRAPH.add(path, [*fits, *read_by(runs)], partial(scores_problem, runs))


def add_all():
    """Add every file of the suite."""
    for name in DATASETS:
        add_dataset(name)
    for name in TRAINED:
        manifest = expand(MANIFEST, dataset=name)
        for split in expand(SPLIT, dataset=name, shots=SHOTS, seed=DESIGN.seeds):
            received([split], manifest, drawing(name))
    for backbone in BACKBONES:
        add_backbone(backbone)
    add_batches()
    for name in (*ASKED, SUITE_REQUEST):
        add_request(name)
    for name in ASKED:
        add_artefact(name)
    asked = expand(REQUEST, artefact=SUITE_REQUEST)
    read = [file_of(run, paths.SCORE) for run in RUNS]
    received([ALL_RUNS], [*asked, *read], GATHERING, behind=[*asked, *scored(RUNS)])
    received([OVERVIEW, *METHOD_PAGES], PAGE_SOURCES, PAGES)
    received([PROVENANCE], [*asked, *ARTEFACT_FILES, ALL_RUNS], TRACING)
    received([CRATE], [PROVENANCE, SUITE_FILE], DESCRIBING)


def add_request(name):
    """Add the request of an artefact, or of the suite."""
    (path,) = expand(REQUEST, artefact=name)

    def check():
        same = read_json(path) == json.loads(json.dumps(asked_by(name)))
        return None if same else "it does not ask for what the configuration does"

    GRAPH.add(path, [], check)


def add_artefact(name):
    """Add a table or a figure, and its gathered runs."""
    named = SimpleNamespace(artefact=name)
    (gathered,) = expand(GATHERED, artefact=name)
    asked = expand(REQUEST, artefact=name)
    behind = [*asked, *sources(named)]
    received([gathered], [*asked, *DESIGN.sources(name)], GATHERING, behind=behind)
    received(files_of(name), [gathered, *published(named)], making(named))


def files_of(artefact):
    """Return the files of a table or a figure; the first is the one that targets name."""
    return [f"{RESULTS}/{path}" for path in ARTEFACTS[artefact].files]


if workflow.is_main_process:  # jobs on other nodes parse this file too
    add_all()
# At the end, as Snakemake does not say here whether this is a dry-run, which writes nothing.
atexit.register(lambda: workflow.dryrun or INDEX.save())
