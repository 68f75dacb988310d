# Inputs and arguments of the jobs on the black box's side.


# Name of a job's log.
TOKENISED = "{backbone}" if TOGETHER else "{backbone}/{dataset}"
ENCODED_BY = "{backbone}" if TOGETHER else "{backbone}/{dataset}/{part}"


def datasets_to_tokenise(wildcards):
    """Return the descriptions and manifests of the data sets that one job tokenises."""
    names = TRAINED if TOGETHER else [wildcards.dataset]
    files = ancient([DATASET_FILES[name] for name in names])
    return {"datasets": files, "manifests": expand(MANIFEST, dataset=names)}


def tokenising(backbone, names):
    """Return arguments of the job that tokenises data sets together for a backbone."""
    return job(tokeniser(backbone), described=[described(name) for name in names])


def tokeniser(backbone):
    """Return the module that tokenises prompts for a backbone, or lets its service do so."""
    return "craft.client.tokenise" if served(backbone) else "craft.blackbox.text.tokenise"


def tokenising_of(wildcards):
    """Return the arguments for the data sets that one job tokenises."""
    return tokenising(wildcards.backbone, TRAINED if TOGETHER else [wildcards.dataset])


def encoded(wildcards):
    """Return (data set, part) of each set of images that one job encodes."""
    return ENCODED if TOGETHER else [(wildcards.dataset, wildcards.part)]


def drawn_of(backbone, name, part):
    """Return the splits that select the images of a part to encode; none for all.

    Where a pool is too large for all, of augmented copies, and by encoders of the user's own
    images, drawn images alone are encoded.
    """
    pool = DATASETS[name]["encode"] == "pool" and backbone in SUITE["backbones"]
    if TOGETHER or part == "test" or part == "train" and pool:
        return []
    return expand(SPLIT, dataset=name, shots=SHOTS, seed=DESIGN.seeds)


def images_to_encode(wildcards):
    """Return descriptions, manifests and splits of the images that one job encodes."""
    names = [name for name, _ in encoded(wildcards)]
    return {
        "datasets": ancient([DATASET_FILES[name] for name in names]),
        "manifests": [MANIFEST.format(dataset=name) for name in names],
        "splits": (
            [] if TOGETHER else drawn_of(wildcards.backbone, wildcards.dataset, wildcards.part)
        ),
        "backbone": backbone_file(wildcards),
        "weights": weights(wildcards),
    }


def told(sets):
    """Return a command's arguments for each set of images."""
    split = [(name, *part.partition("-")) for name, part in sets]
    return [
        *("--root", *(tree_of(name) for name, *_ in split)),
        *("--part", *(part for _, part, *_ in split)),
        *("--copy", *(copy or "none" for *_, copy in split)),
    ]


def encoding(backbone, sets):
    """Return arguments of the job that encodes (data set, part) together with a backbone."""
    about = [[described(name), part] for name, part in sets]
    return job(encoder(backbone), described=about)


def encoder(backbone):
    """Return the module that encodes images with a backbone, or uploads them to its service."""
    return "craft.client.upload" if served(backbone) else "craft.blackbox.images.__main__"


# Device that encodes images; for a service, images are only read here.
ENCODING_DEVICE = ON_DEVICE
if SERVICES:
    ENCODING_DEVICE = {
        "device": lambda wildcards: "cpu" if served(wildcards.backbone) else ON_DEVICE["device"],
        "gpu": lambda wildcards: 0 if served(wildcards.backbone) else ON_DEVICE["gpu"],
    }


def encoding_of(wildcards):
    """Return the module that encodes the images of one job, and its arguments."""
    sets, backbone = encoded(wildcards), wildcards.backbone
    return [encoder(backbone), *told(sets), *encoding(backbone, sets)]


def image_states(name, part, drawn):
    """Return the state of the image files of a part; files in another state are read again."""
    splits = [Path(path) for path in drawn]
    root, manifest = Path(tree_of(name)), Path(MANIFEST.format(dataset=name))
    return [current_images(DATASETS[name], root, manifest, part.partition("-")[0], splits)]


def decoded(wildcards):
    """Return (data set, part) of each set of images that one job decodes."""
    return DECODED if TOGETHER else [(wildcards.dataset, wildcards.part)]


def drawn_for_decoding(sets):
    """Return the splits that select the training images to decode."""
    trained = sorted({name for name, part in sets if part != "test"})
    drawn = dict.fromkeys(
        (run.dataset, run.shots, run.seed) for run in ENCODING if run.dataset in trained
    )
    return [SPLIT.format(dataset=name, shots=shots, seed=seed) for name, shots, seed in drawn]


def images_to_decode(wildcards):
    """Return descriptions, manifests and splits of the images that one job decodes."""
    sets = decoded(wildcards)
    return {
        "datasets": ancient([DATASET_FILES[name] for name, _ in sets]),
        "manifests": [MANIFEST.format(dataset=name) for name, _ in sets],
        "splits": drawn_for_decoding(sets),
    }


def decoding(sets):
    """Return arguments of the job that decodes (data set, part) together."""
    about = [[described(name), part] for name, part in sets]
    return job("craft.blackbox.images.decode", described=about)


def decoding_of(wildcards):
    """Return the arguments of the job that decodes images for a backbone."""
    sets = decoded(wildcards)
    return [*told(sets), *decoding(sets)]


def exporting(backbone, side):
    """Return arguments of the job that exports a side of a backbone, or asks its service."""
    return DESCRIBING if served(backbone) else EXPORTING[side]


def exporter(backbone):
    """Return the command that exports a text tower, or asks a service which model it has."""
    if served(backbone):
        return ["craft.client.describe"]
    return ["craft.blackbox.backbones.export_side", "--side", "text"]


DESCRIBING = job("craft.client.describe")
EXPORTING = {
    side: job("craft.blackbox.backbones.export_side", side=side) for side in ("text", "image")
}
