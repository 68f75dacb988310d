# What is there but is not of this configuration, code and inputs is made again, whatever Snakemake
# remembers. Its memory stays behind when results are moved; it looks at no missing file behind a
# target that is there; a job that fails takes its outputs along, but not what was made of them.

import atexit
from functools import partial
from types import SimpleNamespace

from craft.evaluation.staleness import Graph, expected_of, record_problem, score_problem
from craft.files.atomic import read_json
from craft.files.receipts import problem

GRAPH = Graph(INDEX)


def received(outputs, inputs, arguments, present=(), states=list):
    """Add files that one job makes, with a receipt each.

    Of ``present`` is asked only to be there; ``states`` returns hashes of what is read besides.
    """
    key = arguments[arguments.index("--receipt") + 1]

    def check():
        found = (problem(path, key, inputs, states(), INDEX) for path in outputs)
        return next(filter(None, found), None)

    GRAPH.add(outputs[0], inputs, check, present)


def add_dataset(name):
    """A data set's tree and manifest."""
    tree, fetched, source = lists_of(name), [], source_manifest(name)
    if FACTS[name]["kind"] == "mini":
        received(tree, [], job(RENDERING, development=SUITE["development"]))
    elif SOURCES[name]:
        fetched = expand(FETCHED, dataset=name)
        GRAPH.add(fetched[0], [], lambda: None)
    outputs = expand([MANIFEST, f"{RESULTS}/{paths.REPORT}"], dataset=name)
    received(outputs, [*tree, *source], listing(name), fetched)


def add_backbone(backbone):
    """A backbone's tower, its prompts and features."""
    facts = [BACKBONE_FILES[backbone]]
    model = facts + ([BACKBONES[backbone]["weights"]] if BACKBONES[backbone]["weights"] else [])
    received(expand(TOWER, backbone=backbone), model, job(EXPORTING))
    for name in TRAINED:
        manifest = expand(MANIFEST, dataset=name)
        names = TRAINED if TOGETHER else [name]
        prompts = expand(PROMPTS, backbone=backbone, dataset=name)
        received(prompts, [*facts, *manifest], tokenising(names))
    for name, part in ENCODED:
        parts = ENCODED if TOGETHER else [(name, part)]
        read = [*model, *expand(MANIFEST, dataset=name), *drawn_of(name, part)]
        features = expand(FEATURES, backbone=backbone, dataset=name, part=part)
        received(features, read, encoding(parts), (), partial(image_states, name, part))


def add_run(run):
    """A run's record and score."""
    expected = expected_of(DESIGN, run, INDEX)
    record, score = (f"{RESULTS}/runs/{run.folder}/{name}.json" for name in ("record", "score"))
    read = [f"{RESULTS}/{path}" for path in DESIGN.inputs(run).values()]
    GRAPH.add(record, read, lambda: record_problem(record, expected, INDEX))
    GRAPH.add(score, [record, *read], lambda: score_problem(score, record, expected, INDEX))


def add_all():
    """Every file of the suite."""
    for name in FACTS:
        add_dataset(name)
    for name in TRAINED:
        manifest = expand(MANIFEST, dataset=name)
        for split in expand(SPLIT, dataset=name, shots=SHOTS, seed=DESIGN.seeds):
            received([split], manifest, drawing(name))
    for backbone in BACKBONES:
        add_backbone(backbone)
    for run in RUNS:
        add_run(run)
    for name in (*ASKED, SUITE_REQUEST):
        add_request(name)
    for name in ASKED:
        add_artefact(name)
    made = [f"{RESULTS}/{paths.RUNS}", f"{RESULTS}/{paths.PROVENANCE}"]
    received(made, [*expand(REQUEST, artefact=SUITE_REQUEST), *scores(RUNS)], job(GATHERING))


def add_request(name):
    """What an artefact, or the suite, asks for."""
    (path,) = expand(REQUEST, artefact=name)

    def check():
        same = read_json(path) == json.loads(json.dumps(asked_by(name)))
        return None if same else "it does not ask for what the configuration does"

    GRAPH.add(path, [], check)


def add_artefact(name):
    """A table or a figure, and the runs gathered for it."""
    named = SimpleNamespace(artefact=name)
    (gathered,) = expand(GATHERED, artefact=name)
    received([gathered], [*expand(REQUEST, artefact=name), *sources(named)], job(GATHERING))
    received(files_of(name), [gathered], making(named))


def files_of(artefact):
    """Files of a table or a figure, the one that targets name first."""
    table = ARTEFACTS[artefact].kind == "table"
    prefix = f"{RESULTS}/{paths.TABLE if table else paths.FIGURE}".format(artefact=artefact)
    ends = ("csv", "md", "tex", "html") if table else ("pdf", "png", "csv")
    return [f"{prefix}.{end}" for end in ends]


add_all()
# At the end, as Snakemake does not say here whether this is a dry-run, which writes nothing.
atexit.register(lambda: workflow.dryrun or INDEX.save())
