"""Backbones from YAML and safetensors, and what must not be loaded silently."""

import json

import numpy as np
import open_clip
import pytest
import torch
import yaml
from safetensors.torch import save_file

from craft.blackbox import mini
from craft.blackbox.prompts import PromptError, Prompts
from craft.blackbox.prompts import main as prompts_main
from craft.blackbox.text_weights import TextWeights
from craft.blackbox.weights import (
    BackboneError,
    check_quick_gelu,
    load,
    main,
    read_backbone,
    tokenizer_of,
)
from craft.records import Image, Manifest
from craft.storage import sha256

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
TOY = {"name": "toy", "kind": "open_clip", "model": "toy-quickgelu", "image": IMAGE}


@pytest.fixture(scope="module", autouse=True)
def toy_models(tmp_path_factory):
    """Two architectures that open_clip knows by name, with and without QuickGELU."""
    folder = tmp_path_factory.mktemp("configs")
    for name, quick_gelu in (("toy", False), ("toy-quickgelu", True)):
        (folder / f"{name}.json").write_text(json.dumps(ARCHITECTURE | {"quick_gelu": quick_gelu}))
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
    assert backbone.text_weights().activation == "quick_gelu"


def test_the_weights_file_that_the_yaml_names(weights):
    assert load(TOY | {"weights": str(weights)}).weights_sha256 == sha256(weights)


def test_a_pinned_checksum(weights):
    load(TOY | {"sha256": sha256(weights)}, weights)
    with pytest.raises(BackboneError, match=rf"SHA-256 is {sha256(weights)}, but toy pins 12ab"):
        load(TOY | {"sha256": "12ab"}, weights)


@pytest.mark.parametrize("model", ["RN50", "RN101", "ViT-B-32", "ViT-B-16", "toy"])
def test_openai_weights_need_quick_gelu_also_from_a_local_file(model, weights):
    config = TOY | {"model": model, "pretrained": "openai"}
    with pytest.raises(BackboneError, match=f"without it; use {model}-quickgelu"):
        load(config, weights)


@pytest.mark.parametrize("model", ["RN50", "RN101", "ViT-B-32", "ViT-B-16"])
def test_the_papers_backbones_pass_the_check(model):
    check_quick_gelu(TOY | {"model": f"{model}-quickgelu", "pretrained": "openai"})


def test_weights_without_quick_gelu_in_a_model_with_it():
    with pytest.raises(BackboneError, match="trained without QuickGELU"):
        check_quick_gelu(TOY | {"model": "ViT-B-32-quickgelu", "pretrained": "laion2b_s34b_b79k"})


def test_an_unknown_model():
    with pytest.raises(BackboneError, match="open_clip has no model 'RN5'"):
        check_quick_gelu(TOY | {"model": "RN5"})


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
    with pytest.raises(BackboneError, match="no weights file given and no hub named"):
        load(TOY)
    with pytest.raises(BackboneError, match=f"toy: no weights file {tmp_path}/x"):
        load(TOY, tmp_path / "x")


def test_another_precision_is_refused(weights):
    with pytest.raises(BackboneError, match="'fp16'; accepted: fp32"):
        load(TOY | {"precision": "fp16"}, weights)


def test_a_backbone_of_the_embedded_suite(mini_weights):
    backbone = load(MINI, mini_weights)
    assert backbone.vocabulary.tolist() == [3, 320, 539, 2368, 49406, 49407]
    table = backbone.model.token_embedding.weight
    # Of the rows in use alone: the others are filled in and would hide the scale.
    used = float(table[backbone.vocabulary].std())
    assert backbone.text_weights().embedding_std == pytest.approx(used)
    assert used != pytest.approx(float(table.std()))
    assert backbone.tokenizer.context_length == 16


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"kind": "timm"}, "kind is 'timm'; accepted: mini, open_clip"),
        ({"kind": "open_clip", "name": "x"}, "lacks image, model"),
        ({"kind": "mini", "name": "x", "image": IMAGE}, "lacks open_clip"),
        ([], "kind is None"),
    ],
)
def test_descriptions_that_lack_something(config, named, tmp_path):
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(BackboneError, match=named):
        read_backbone(tmp_path / "b.yaml")


def test_the_command_exports_the_text_side(weights, tmp_path):
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(TOY))
    out = tmp_path / "out" / "text.safetensors"
    main(f"--backbone {tmp_path}/b.yaml --weights {weights} --out {out}".split())
    exported, direct = TextWeights.read(out), load(TOY, weights).text_weights()
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
