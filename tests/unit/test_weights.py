"""Backbones from YAML and safetensors, and what must not be loaded silently."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import yaml
from open_clip.model import CLIP
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from craft.blackbox.backbones.description import (
    BackboneError,
    check_quick_gelu,
    complete,
    hub_file,
    read_backbone,
    tokenizer_of,
)
from craft.blackbox.backbones.export_side import main, text_side
from craft.blackbox.backbones.pretrained import OPENAI_ENTRIES, OPENAI_FILES, load
from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import PromptError, Prompts, PromptTokens
from craft.blackbox.text.tokenise import main as prompts_main
from craft.blackbox.text.weights import TextWeights
from craft.files.atomic import sha256
from craft.files.datasets import Image, Manifest
from craft.files.yaml12 import YamlError
from craft.mini import backbone as mini

IMAGE = {"size": 32, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
ARCHITECTURE = {
    "embed_dim": 8,
    "vision_cfg": {"layers": 1, "width": 8, "head_width": 4, "patch_size": 16, "image_size": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1},
}
MINI = {
    "name": "toy-mini",
    "kind": "mini",
    "image": IMAGE,
    "open_clip": ARCHITECTURE | {"quick_gelu": True},
}
#: Weights of no tag: their activation and preprocessing are told.
TOY = {
    "name": "toy",
    "kind": "open_clip",
    "model": "toy-quickgelu",
    "quick_gelu": True,
    "image": IMAGE,
}


@pytest.fixture(scope="module", autouse=True)
def toy_models(tmp_path_factory):
    """Architectures that open_clip knows by name, the first without QuickGELU."""
    folder = tmp_path_factory.mktemp("configs")
    timm = {"timm_model_name": "test_vit", "timm_pool": "token", "image_size": 32}
    pooled = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    coca = {
        "vision_cfg": ARCHITECTURE["vision_cfg"] | pooled,
        "text_cfg": ARCHITECTURE["text_cfg"] | {"embed_cls": True, "output_tokens": True},
        "multimodal_cfg": ARCHITECTURE["text_cfg"],
        "custom_text": True,
    }
    for name, changes in {
        "toy": {"quick_gelu": False},
        "toy-quickgelu": {},
        "toy-transformer": {},
        "toy-resnet": {
            "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8, "image_size": 32}
        },
        "toy-timm": {"vision_cfg": timm},
        "toy-coca": coca,
    }.items():
        config = ARCHITECTURE | {"quick_gelu": True} | changes
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    state = open_clip.create_model("toy-quickgelu", pretrained=None).state_dict()
    save_file(state, tmp_path / "toy.safetensors")
    return tmp_path / "toy.safetensors"


@pytest.fixture
def mini_weights(tmp_path):
    torch.manual_seed(0)
    vocabulary = np.array([3, 320, 539, 2368, 49406, 49407])
    mini.save(tmp_path / "mini.safetensors", mini.build(MINI, 6), vocabulary, {})
    return tmp_path / "mini.safetensors"


def test_an_open_clip_model_from_a_local_file(weights):
    backbone = load(TOY, weights)
    assert backbone.weights_sha256 == sha256(weights)
    assert not backbone.model.training
    assert not any(p.requires_grad for p in backbone.model.parameters())
    assert {p.dtype for p in backbone.model.parameters()} == {torch.float32}
    torch.manual_seed(0)
    same = open_clip.create_model("toy-quickgelu", pretrained=None).eval()
    ids = backbone.tokenizer(["a photo of a cat."], context_length=16)
    assert torch.equal(backbone.model.encode_text(ids), same.encode_text(ids))
    assert text_side(backbone).activation == "quick_gelu"


def test_the_weights_file_that_the_yaml_names(weights):
    assert load(TOY | {"weights": str(weights)}).weights_sha256 == sha256(weights)


def test_a_pinned_checksum(weights):
    load(TOY | {"sha256": sha256(weights)}, weights)
    with pytest.raises(BackboneError, match=rf"SHA-256 is {sha256(weights)}, but toy pins 12ab"):
        load(TOY | {"sha256": "12ab"}, weights)


# --- the activation -------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["RN50", "RN101", "ViT-B-32", "ViT-B-16", "toy"])
def test_openai_weights_need_quick_gelu_also_from_a_local_file(model, weights):
    config = TOY | {"model": model, "pretrained": "openai"}
    with pytest.raises(BackboneError, match=f"without it; use {model}-quickgelu"):
        load(config, weights)


@pytest.mark.parametrize("model", ["RN50", "RN101", "ViT-B-32", "ViT-B-16"])
def test_the_papers_backbones_pass_the_check(model):
    check_quick_gelu(read_backbone(f"config/backbones/{model}.yaml"))


NAMED = {"name": "x", "kind": "open_clip"}


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (
            {"model": "ViT-B-32-quickgelu", "pretrained": "laion2b_s34b_b79k"},
            "trained without QuickGELU, .* use ViT-B-32$",
        ),
        (  # registered for the twin of the other activation alone
            {"model": "ViT-H-14-378", "pretrained": "dfn5b"},
            "trained with QuickGELU, .* use ViT-H-14-378-quickgelu",
        ),
        (
            {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k", "quick_gelu": True},
            "quick_gelu: expected False, as for 'laion2b_s34b_b79k' weights, got True",
        ),
        ({"model": "toy"}, "pretrained is not given; for your own weights, state by quick_gelu"),
        ({"model": "toy", "quick_gelu": True}, "the weights were trained with .* toy-quickgelu"),
        (
            {"model": "ViT-B-32", "pretrained": "laion2b_s34b"},
            r"no weights 'laion2b_s34b' of ViT-B-32; did you mean laion2b_s34b_b79k .*metaclip",
        ),
    ],
)
def test_an_activation_that_is_wrong_or_unknown(config, named):
    with pytest.raises(BackboneError, match=named):
        complete(NAMED | {"image": IMAGE | {"size": 224}} | config)


def test_the_files_that_are_known_to_be_openais():
    pins = {
        read_backbone(f"config/backbones/{name}.yaml")["sha256"]
        for name in ("RN50", "RN101", "ViT-B-32", "ViT-B-16")
    }
    assert pins - {None} == OPENAI_FILES


@pytest.mark.parametrize("evidence", ["entries", "checksum"])
def test_a_file_that_says_itself_that_it_is_openais(evidence, weights, monkeypatch):
    """Whatever its YAML says: by what only OpenAI's checkpoints hold, or by its bytes."""
    if evidence == "entries":
        state = load_file(weights) | {name: torch.tensor(77) for name in OPENAI_ENTRIES}
        save_file(state, weights)
        assert text_side(load(TOY, weights)).activation == "quick_gelu"
    else:
        monkeypatch.setattr("craft.blackbox.backbones.pretrained.OPENAI_FILES", {sha256(weights)})
    with pytest.raises(BackboneError, match=r"toy.safetensors: OpenAI's weights were trained with"):
        load(TOY | {"model": "toy", "quick_gelu": False}, weights)


# --- what open_clip knows of a model and a tag ----------------------------------------------------


def test_a_line_for_another_model_and_tag():
    config = complete(NAMED | {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"})
    assert (config["precision"], config["text"]) == ("fp32", "auto")
    assert config["image"] == {
        "size": 224,
        "resize": "shortest",
        "interpolation": "bicubic",
        "mean": [0.48145466, 0.4578275, 0.40821073],
        "std": [0.26862954, 0.26130258, 0.27577711],
    }
    assert hub_file(config)[1:] == ("open_clip_model.safetensors", None)
    other = complete(NAMED | {"model": "PE-Core-B-16", "pretrained": "meta"})["image"]
    assert (other["resize"], other["interpolation"], other["mean"]) == (
        "squash",
        "bilinear",
        [0.5] * 3,
    )
    assert hub_file(NAMED | {"model": "ViTamin-S", "pretrained": "datacomp1b"}) == (
        "jienengchen/ViTamin-S",
        "pytorch_model.safetensors",
        None,
    )


def test_what_the_yaml_says_comes_before_what_open_clip_says():
    given = {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k", "image": {"mean": [0.5] * 3}}
    given["hub"] = {"repo": "me/mine", "file": "w.safetensors", "revision": "abc"}
    config = complete(NAMED | given)
    assert config["image"]["mean"] == [0.5] * 3
    assert config["image"]["std"] == [0.26862954, 0.26130258, 0.27577711]
    assert hub_file(config) == ("me/mine", "w.safetensors", "abc")


@pytest.mark.parametrize("name", ["RN50", "RN101", "ViT-B-32", "ViT-B-16"])
def test_the_shipped_files_say_what_open_clip_knows(name):
    shipped = yaml.safe_load(Path(f"config/backbones/{name}.yaml").read_text())
    line = {key: shipped[key] for key in ("name", "kind", "model", "pretrained")}
    assert read_backbone(f"config/backbones/{name}.yaml")["image"] == complete(line)["image"]
    assert hub_file(shipped)[:2] == hub_file(line)[:2]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"model": "RN5"}, "open_clip has no model 'RN5'; did you mean RN50"),
        ({"model": "ViT-B/32"}, "no model 'ViT-B/32'; did you mean ViT-B-32"),
        ({"model": "roberta-ViT-B-32"}, "is roberta-base of the package transformers"),
        ({"model": "toy-quickgelu", "quick_gelu": True}, "image lacks mean, std"),
        (
            {"model": "ViT-B-32", "pretrained": "laion2b_e16", "image": {"size": 336}},
            "image.size is 336, ViT-B-32 takes 224",
        ),
        (
            {"model": "RN50", "precision": "fp8"},
            "precision: expected one of fp32, .* got 'fp8'",
        ),
        ({"model": "RN50", "text": "slow"}, "text: expected one of auto, fast, plain, got 'slow'"),
        ({"kind": "mini", "precision": "bf16"}, "expected fp32, got 'bf16'"),
    ],
)
def test_models_that_cannot_be_used(config, named):
    with pytest.raises(BackboneError, match=named):
        complete(NAMED | config)


def test_a_tokenizer_of_a_package_that_is_not_there(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackboneError, match=r"tokenises with .*pip install transformers"):
        complete(NAMED | {"model": "ViT-B-16-SigLIP", "pretrained": "webli"})


def test_weights_that_cannot_be_fetched(monkeypatch):
    def refuse(repo, file, revision):
        raise OSError(f"no route to {repo} {file} {revision}")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(BackboneError, match=r"cannot be fetched \(no route.* weights: PATH"):
        load(NAMED | {"model": "ViT-B-32", "pretrained": "laion2b_s34b_b79k"})


# --- weights files --------------------------------------------------------------------------------


def test_weights_of_another_model(weights, tmp_path):
    other = dict.fromkeys(["visual.proj"], torch.zeros(2, 2))
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(BackboneError, match=r"other.safetensors: does not fit toy-quickgelu"):
        load(TOY, tmp_path / "other.safetensors")


def test_a_truncated_file(weights):
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BackboneError, match=r"toy.safetensors: does not fit"):
        load(TOY, weights)


def test_only_safetensors_are_read(tmp_path):
    (tmp_path / "toy.pt").write_bytes(b"")
    with pytest.raises(BackboneError, match=r"toy.pt: weights are read from .safetensors"):
        load(TOY, tmp_path / "toy.pt")


def test_no_weights(tmp_path):
    with pytest.raises(BackboneError, match="pretrained is not given; name a local file"):
        load(TOY)
    with pytest.raises(BackboneError, match="toy-mini: no weights file given"):
        load(MINI)
    with pytest.raises(BackboneError, match=f"toy: no weights file {tmp_path}/x"):
        load(TOY, tmp_path / "x")


# --- precision ------------------------------------------------------------------------------------


def both_features(config, weights):
    """Unit image and text features (64, E) and (2, E) of random images and two classes."""
    backbone = load(config, weights, device="cpu")
    images = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    raw = backbone.model.encode_image(images)
    assert raw.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}.get(
        config["precision"], torch.float32
    )
    tower = TextTower(
        text_side(backbone), PromptTokens.tokenise(backbone.tokenizer, ["cat", "tabby dog"])
    )
    assert {t.dtype for t in text_side(backbone).tensors.values()} == {torch.float32}
    assert tower.logit_scale == pytest.approx(1 / 0.07, rel=1e-6)  # never rounded
    return F.normalize(raw.float(), dim=-1), tower.encode(torch.zeros(1, 4, 8))[0]


@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 5e-3), ("bf16", 4e-2)])
@pytest.mark.parametrize("vision", ["transformer", "resnet", "timm"])
def test_half_precision_stays_near_single(vision, precision, tolerance, weights, tmp_path):
    config = TOY | {"model": f"toy-{vision}"}
    torch.manual_seed(0)
    state = open_clip.create_model(config["model"], pretrained=None).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    images, text = both_features(config | {"precision": "fp32"}, tmp_path / "w.safetensors")
    half = both_features(config | {"precision": precision}, tmp_path / "w.safetensors")
    for ours, theirs in zip(half, (images, text), strict=True):
        assert 0 < (ours - theirs).abs().max() < tolerance
    if vision == "resnet":  # random, it sees nearly the same in any image
        return
    classes = torch.randn(8, 5, generator=torch.Generator().manual_seed(1))
    answers, rounded = ((features @ classes).argmax(1) for features in (images, half[0]))
    assert len(answers.unique()) > 1 and (answers == rounded).float().mean() > 0.95


def test_a_precision_that_the_device_lacks_is_told_before_work_starts(weights, monkeypatch):
    def lacking(model, image, normalize=False):
        raise RuntimeError("\"conv2d\" not implemented for 'Half'")

    monkeypatch.setattr(CLIP, "encode_image", lacking)
    load(TOY | {"precision": "fp16"}, weights)  # exporting the text side runs no image tower
    load(TOY, weights, device="cpu")
    with pytest.raises(BackboneError, match=r"toy: precision fp16 does not work on cpu .*conv2d"):
        load(TOY | {"precision": "fp16"}, weights, device="cpu")


def test_coca_keeps_raw_norms(tmp_path):
    """Its own default is to normalise."""
    torch.manual_seed(0)
    model = open_clip.create_model("toy-coca", pretrained=None)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    backbone = load(TOY | {"model": "toy-coca"}, tmp_path / "w.safetensors")
    norms = backbone.model.encode_image(torch.randn(4, 3, 32, 32)).norm(dim=1)
    assert (norms - 1).abs().min() > 1e-3


def test_a_backbone_of_the_embedded_suite(mini_weights):
    backbone = load(MINI, mini_weights)
    assert backbone.model.pretrained_tokens.tolist() == [3, 320, 539, 2368, 49406, 49407]
    table = backbone.model.token_embedding.weight
    # Of the rows in use alone: the others are filled in and would hide the scale.
    used = float(table[backbone.model.pretrained_tokens].std())
    assert text_side(backbone).embedding_std == pytest.approx(used)
    assert used != pytest.approx(float(table.std()))
    del backbone.model.pretrained_tokens  # then there is no scale, not a wrong one
    with pytest.raises(ValueError, match="expected pretrained_tokens"):
        text_side(backbone)
    assert backbone.tokenizer.context_length == 16


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"kind": "timm", "name": "x"}, "kind: expected one of mini, open_clip, mae, got 'timm'"),
        ({"kind": "open_clip", "name": "x"}, "lacks model"),
        ({"kind": "mini", "name": "x"}, "lacks image, open_clip"),
        ({}, "a file without name, kind"),
    ],
)
def test_descriptions_that_lack_something(config, named, tmp_path):
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises((BackboneError, YamlError), match=named):
        read_backbone(tmp_path / "b.yaml")


def test_the_command_exports_the_text_side(weights, tmp_path):
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(TOY))
    out = tmp_path / "out" / "text.safetensors"
    main(f"--backbone {tmp_path}/b.yaml --weights {weights} --side text --out {out}".split())
    exported, direct = TextWeights.read(out), text_side(load(TOY, weights))
    assert exported.tensors.keys() == direct.tensors.keys()
    assert all(torch.equal(exported.tensors[name], direct.tensors[name]) for name in direct.tensors)
    for field in TextWeights._META:
        assert getattr(exported, field) == getattr(direct, field)


def test_tokenizers_need_no_weights():
    assert tokenizer_of(MINI).context_length == 16
    assert tokenizer_of(TOY).encode("cat") == [2368]


def test_the_command_tokenises_prompts_in_label_order(tmp_path):
    images = [Image("1.png", 1, "tabby_cat", "train"), Image("0.png", 0, "dog", "test")]
    Manifest(tuple(images)).write(tmp_path / "m.csv")
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(MINI))
    dataset = {"name": "pets", "template": "{} texture."}
    (tmp_path / "d.yaml").write_text(yaml.safe_dump(dataset))
    command = (
        f"--backbone {tmp_path}/b.yaml --manifest {tmp_path}/m.csv --dataset {tmp_path}/d.yaml "
        f"--out {tmp_path}/p.json".split()
    )
    prompts_main(command)
    prompts = Prompts.read(tmp_path / "p.json")
    assert (prompts.backbone, prompts.dataset) == ("toy-mini", "pets")
    encode = tokenizer_of(MINI).encode
    assert prompts.learner.context_ids == tuple(encode("a photo of a"))
    assert prompts.learner.suffix_ids == tuple(
        (*encode(text), 49407) for text in ("dog.", "tabby cat.")
    )
    assert prompts.zero_shot.context_ids == ()
    assert prompts.zero_shot.suffix_ids[1] == (*encode("tabby cat texture."), 49407)
    assert prompts.learner.class_names == prompts.zero_shot.class_names == ("dog", "tabby_cat")
    Manifest((images[0],)).write(tmp_path / "m.csv")
    with pytest.raises(PromptError, match=r"labels are not 0\.\.0"):
        prompts_main(command)
