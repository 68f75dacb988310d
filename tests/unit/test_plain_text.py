"""The plain text tower against open_clip's own encode_text, and against the fast one."""

import json
import sys
from dataclasses import replace
from functools import lru_cache

import open_clip
import pytest
import torch
from open_clip.coca_model import CoCa
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file

from craft.blackbox.backbones.export_side import main, text_side
from craft.blackbox.backbones.pretrained import load
from craft.blackbox.text.full_length import PlainText, PlainTower
from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import PromptError, PromptTokens
from craft.blackbox.text.tower import read_tower
from craft.blackbox.text.weights import TextWeights, UnsupportedTextTower
from craft.files.atomic import RecordError

TOLERANCE = 1e-5
TOKENIZER = open_clip.SimpleTokenizer(context_length=20)
NAMES = ("cat", "tabby_cat", "X-ray of a polka-dotted dog")
PROMPTS = PromptTokens.tokenise(TOKENIZER, NAMES)
TEXTS = [f"a photo of a {name.replace('_', ' ')}." for name in NAMES]
VISION = {"layers": 1, "width": 8, "head_width": 4, "patch_size": 8, "image_size": 16}
TEXT = {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
#: What the fast tower refuses, as changes of the configuration.
REFUSED = {
    "no causal mask": (CustomTextCLIP, {"no_causal_mask": True}),
    "SigLIP's": (
        CustomTextCLIP,
        {
            "no_causal_mask": True,
            "pool_type": "last",
            "proj_bias": True,
            "norm_kwargs": {"eps": 1e-3},
        },
    ),
    "first": (CustomTextCLIP, {"no_causal_mask": True, "pool_type": "first"}),
    "class token": (CustomTextCLIP, {"embed_cls": True}),
    "CoCa": (CoCa, {"embed_cls": True, "output_tokens": True}),
    "own blocks": (CustomTextCLIP, {"qk_norm": True, "scale_attn": True}),
    "eos of another": (CLIP, {"pool_type": "eos", "eos_id": 269}),
}


@lru_cache
def small(name=None, quick_gelu=True):
    """A random model of a refused kind, or one that both towers take; and its configuration."""
    kind, changes = REFUSED[name] if name else (CLIP, {})
    architecture = {
        "embed_dim": 12,
        "quick_gelu": quick_gelu,
        "vision_cfg": VISION,
        "text_cfg": TEXT | changes,
    }
    if kind is CoCa:
        pooled = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
        architecture |= {"multimodal_cfg": TEXT, "vision_cfg": VISION | pooled}
    torch.manual_seed(0)
    model = kind(**architecture)
    with torch.no_grad():  # what starts at 0 or 1 would hide itself
        for entry, value in model.named_parameters():
            if value.ndim == 1 and "visual" not in entry:
                value += 0.3 * torch.randn_like(value)
        side = getattr(model, "text", model)
        side.token_embedding.weight.mul_(20)
        side.positional_embedding.mul_(20)
    return model.eval().requires_grad_(False), architecture


def plain(model, architecture, **arguments):
    return PlainTower(PlainText.from_model(model, architecture), PROMPTS, **arguments)


def offsets(count=2, length=4):
    return torch.randn(count, length, 16, generator=torch.Generator().manual_seed(count))


def agree(a, b):
    assert a.shape == b.shape and a.dtype == torch.float32
    assert (a - b).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_fast_tower_refuses_agrees_with_encode_text(name):
    """At the initial context, and at contexts that are words themselves."""
    model, architecture = small(name)
    with pytest.raises(UnsupportedTextTower):
        TextTower(TextWeights.from_model(model), PROMPTS)
    tower = plain(model, architecture)
    ids = TOKENIZER(TEXTS)
    agree(tower.encode(torch.zeros(1, 4, 16))[0], model.encode_text(ids, normalize=True))
    other = torch.tensor(TOKENIZER.encode("one sketch by dogs"))
    table = getattr(model, "text", model).token_embedding.weight
    moved = tower.encode((table[other] - table[torch.tensor(PROMPTS.context_ids)])[None])[0]
    ids[:, 1:5] = other
    agree(moved, model.encode_text(ids, normalize=True))
    assert (moved - tower.encode(torch.zeros(1, 4, 16))[0]).abs().max() > 1e-2


@pytest.mark.parametrize("quick_gelu", [True, False])
def test_where_both_towers_work_they_agree(quick_gelu):
    model, architecture = small(quick_gelu=quick_gelu)
    fast = TextTower(TextWeights.from_model(model), PROMPTS)
    tower = plain(model, architecture)
    agree(tower.encode(offsets(3)), fast.encode(offsets(3)))
    for name in ("context_length", "context_width", "class_names"):
        assert getattr(tower, name) == getattr(fast, name)
    for name in ("embedding_std", "logit_scale"):
        assert getattr(tower, name) == pytest.approx(getattr(fast, name))
    assert tower.positions == 3 * 20 > fast.positions
    # A wordless context of another length, as CoOp has.
    vectors = torch.randn(7, 16, generator=torch.Generator().manual_seed(0))
    agree(
        tower.with_context(vectors).encode(offsets(2, 7)),
        fast.with_context(vectors).encode(offsets(2, 7)),
    )
    agree(tower.encode(offsets()), fast.encode(offsets()))  # the first is as it was


def test_gradients_agree_with_the_fast_tower():
    model, architecture = small()
    fast = TextTower(TextWeights.from_model(model), PROMPTS)
    gradients = []
    for tower in (fast, plain(model, architecture, max_batch_bytes=1)):
        given = offsets().requires_grad_()
        tower.encode(given).square().mul(torch.arange(12)).sum().backward()
        gradients.append(given.grad)
    assert gradients[0].abs().max() > 1e-3
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-5)


def test_memory_bounds_a_batch_and_not_the_numbers():
    model, architecture = small("SigLIP's")
    seen = []
    tower = plain(model, architecture, max_batch_bytes=1)
    tower._text.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    agree(tower.encode(offsets()), plain(model, architecture).encode(offsets()))
    assert seen == [1] * 6
    assert not tower._text.token_embedding._forward_hooks  # nothing of a call stays behind


def test_a_prompt_that_is_too_long_names_its_class():
    tower = plain(*small("CoCa"))
    assert tower.with_context(torch.zeros(8, 16)).context_length == 8
    with pytest.raises(PromptError, match="'X-ray of a polka-dotted dog': the prompt has 22 tok"):
        tower.with_context(torch.zeros(10, 16))
    with pytest.raises(ValueError, match=r"\(4, 15\), not \(L, 16\)"):
        tower.with_context(torch.zeros(4, 15))
    with pytest.raises(ValueError, match=r"not \(P, 4, 16\)"):
        tower.encode(torch.zeros(1, 3, 16))


# --- the choice, and its file ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """YAML and weights of a model that the fast tower takes, and of one that it refuses."""
    folder = tmp_path_factory.mktemp("named")
    for name, kind in (("fast-toy", None), ("plain-toy", "SigLIP's")):
        model, architecture = small(kind)
        custom = {"custom_text": kind is not None, "init_logit_bias": -10}
        (folder / f"{name}.json").write_text(json.dumps(architecture | custom))
        state = model.state_dict() | {"logit_bias": torch.tensor(-10.0)}
        save_file(state, folder / f"{name}.safetensors")
    open_clip.add_model_config(folder)
    return folder


def describe(named, model, text=None):
    image = {"size": 16, "mean": [0.5] * 3, "std": [0.5] * 3}
    config = {"name": model, "kind": "open_clip", "model": model, "quick_gelu": True}
    config |= {"image": image} | ({"text": text} if text else {})
    (named / f"{model}.yaml").write_text(json.dumps(config))
    return config


@pytest.mark.parametrize(
    ("model", "text", "kind"),
    [
        ("fast-toy", None, TextTower),
        ("fast-toy", "plain", PlainTower),
        ("plain-toy", None, PlainTower),
    ],
)
def test_the_export_chooses_and_says_so(model, text, kind, named, tmp_path, caplog):
    describe(named, model, text)
    caplog.set_level("INFO")
    out = tmp_path / "tower.safetensors"
    arguments = ["--backbone", named / f"{model}.yaml", "--side", "text", "--out", out]
    main(list(map(str, [*arguments, "--weights", named / f"{model}.safetensors"])))
    chosen = "fast" if kind is TextTower else "plain"
    assert any(
        m.startswith(f"text tower: {chosen} (text: {text or 'auto'}") for m in caplog.messages
    )
    tower = read_tower(out, PROMPTS)
    assert type(tower) is kind
    encoded = small(None if model == "fast-toy" else "SigLIP's")[0].encode_text(TOKENIZER(TEXTS))
    agree(
        tower.encode(torch.zeros(1, 4, 16))[0],
        torch.nn.functional.normalize(encoded, dim=-1),
    )
    assert read_tower(out, PROMPTS, max_batch_bytes=1).encode(offsets()).shape == (2, 3, 12)


def test_fast_where_it_cannot_be_is_an_error(named):
    backbone = load(describe(named, "plain-toy", "fast"), named / "plain-toy.safetensors")
    with pytest.raises(UnsupportedTextTower, match="no causal mask"):
        text_side(backbone)


def test_without_open_clip_a_fast_tower_works_and_a_plain_one_says_what_it_needs(
    tmp_path, monkeypatch
):
    model, architecture = small()
    TextWeights.from_model(model).write(tmp_path / "fast", {})
    PlainText.from_model(model, architecture).write(tmp_path / "plain", {})
    for name in [name for name in sys.modules if name.partition(".")[0] == "open_clip"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "craft.blackbox.text.full_length")
    assert read_tower(tmp_path / "fast", PROMPTS).context_length == 4
    with pytest.raises(RecordError, match=r"plain: a plain text tower, which needs open_clip"):
        read_tower(tmp_path / "plain", PROMPTS)


def test_a_foreign_file_is_named(tmp_path):
    model, architecture = small()
    PlainText.from_model(model, architecture).write(tmp_path / "p", {})
    with pytest.raises(RecordError, match=r"foreign: not a text-weights file"):
        save_file({"x": torch.zeros(1)}, tmp_path / "foreign")
        read_tower(tmp_path / "foreign", PROMPTS)
    with pytest.raises(RecordError, match="not a text-weights file"):
        TextWeights.read(tmp_path / "p")


def test_a_plain_tower_of_wrong_shapes_or_architecture_is_named(tmp_path):
    model, architecture = small("SigLIP's")
    whole = PlainText.from_model(model, architecture)
    name, tensor = next(iter(whole.tensors.items()))
    for damaged, said in (
        (replace(whole, tensors=whole.tensors | {name: tensor[:-1]}), f"{name}: expected shape"),
        (replace(whole, tensors={name: tensor}), "expected shape .*, got no tensor"),
        (
            replace(whole, tensors=whole.tensors | {"x": tensor}),
            "x: expected shape of no such tensor",
        ),
        (replace(whole, architecture={"embed_dim": 8}), "no text tower of open_clip's by its arch"),
        (replace(whole, architecture=[]), r"architecture: expected a valid dict"),
    ):
        damaged.write(tmp_path / "p", {})
        with pytest.raises(RecordError, match=f"p: .*{said}"):
            read_tower(tmp_path / "p", PROMPTS)


# --- tokenizers of the package transformers -------------------------------------------------------


class Rows:
    """Gives whole rows of word numbers, as open_clip's HFTokenizer does."""

    def __init__(self, start=(), end=(2,), pad=0, context_length=20):
        self.start, self.end, self.pad, self.context_length = start, end, pad, context_length

    def __call__(self, texts, context_length=None):
        length = context_length or self.context_length
        ids = [(*self.start, *map(self.number, text.split()), *self.end) for text in texts]
        return torch.tensor([(row + (self.pad,) * length)[:length] for row in ids])

    @staticmethod
    def number(word):
        return 10 + sum(map(ord, word))


@pytest.mark.parametrize(
    "layout",
    [
        {"start": (5,)},
        {},
        {"end": (1,), "pad": 1},  # SigLIP's: filled up with ends of text
        {"start": (5,), "end": ()},  # CLIPA's: its end is struck out
        {"start": (5,), "end": (2,), "pad": 3},
    ],
)
def test_rows_are_rebuilt_as_their_tokenizer_gives_them(layout):
    tokenizer = Rows(**layout)
    prompts = PromptTokens.tokenise(tokenizer, NAMES)
    assert prompts.context_ids == tuple(map(Rows.number, ["a", "photo", "of", "a"]))
    assert prompts.start_ids == layout.get("start", ())
    for text, suffix in zip(TEXTS, prompts.suffix_ids, strict=True):
        row = (*prompts.start_ids, *prompts.context_ids, *suffix)
        row += (prompts.pad_id,) * (20 - len(row))
        assert row == tuple(tokenizer([text])[0].tolist())
    assert PromptTokens.tokenise(tokenizer, NAMES, "{} texture.").context_ids == ()
    with pytest.raises(PromptError, match=r"has 2\d tokens, the model takes 20"):
        PromptTokens.tokenise(tokenizer, ["dog " * 20])


def test_rows_of_another_make_are_refused():
    with pytest.raises(PromptError, match="expected at most one token of start"):
        PromptTokens.tokenise(Rows(start=(5, 6)), NAMES)


def test_a_prompt_without_start_is_for_the_plain_tower_alone():
    model, architecture = small("SigLIP's")
    tokenizer = Rows(end=(1,), pad=1)
    prompts = PromptTokens.tokenise(tokenizer, NAMES)
    tower = PlainTower(PlainText.from_model(model, architecture), prompts)
    agree(
        tower.encode(torch.zeros(1, 4, 16))[0],
        model.encode_text(tokenizer(TEXTS), normalize=True),
    )
    with pytest.raises(UnsupportedTextTower, match="without a start of text"):
        TextTower(TextWeights.from_model(small()[0]), prompts)
