"""The prefix-sharing text tower against open_clip's own modules run on whole prompts."""

import threading
from dataclasses import replace
from functools import lru_cache

import open_clip
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transformer import text_global_pool
from torch.nn import functional as F

from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.token_tree import pack
from craft.blackbox.text.tokenise import PromptError, Prompts, PromptTokens
from craft.blackbox.text.weights import TextWeights, UnsupportedTextTower
from craft.files.atomic import RecordError
from tests.unit.small_model import text_weights
from tests.unit.towers import text_tower

TOLERANCE = 1e-5
TOKENIZER = open_clip.SimpleTokenizer()
WORDS = ["cat", "dog", "polka-dotted", "X-ray", "supercalifragilistic", "a", "of", "1998", "Ökobus"]
VISION = {"layers": 1, "width": 8, "head_width": 4, "patch_size": 8, "image_size": 16}


@lru_cache
def small_model(kind=CLIP, quick_gelu=True, seed=0, layers=2, **text):
    torch.manual_seed(seed)
    settings_ = {"width": 16, "heads": 2, "layers": layers, "vocab_size": 49408}
    model = kind(12, VISION, settings_ | text, quick_gelu=quick_gelu)
    with torch.no_grad():  # open_clip starts biases at 0 and norms at 1, which would hide them
        for name, value in model.named_parameters():
            if value.ndim == 1 and "visual" not in name:
                value += 0.3 * torch.randn_like(value)
        text_side = getattr(model, "text", model)
        text_side.token_embedding.weight.mul_(20)
        text_side.positional_embedding.mul_(20)
    return model.eval().requires_grad_(False)


def plain(model, prompts, offsets):
    """(P, K, E): every prompt at full length through open_clip's modules, one context at a time."""
    ids = TOKENIZER(prompts)
    text = getattr(model, "text", model)
    features = []
    for offset in offsets:
        x = text.token_embedding(ids)
        x[:, 1 : 1 + len(offset)] += offset
        x = text.transformer(x + text.positional_embedding, attn_mask=text.attn_mask)
        pool = getattr(text, "pool_type", getattr(text, "text_pool_type", None))
        x = text_global_pool(text.ln_final(x), ids, pool, eos_token_id=TOKENIZER.eot_token_id)
        if isinstance(text.text_projection, torch.nn.Linear):
            x = text.text_projection(x)
        elif text.text_projection is not None:
            x = x @ text.text_projection
        features.append(F.normalize(x, dim=-1))
    return torch.stack(features)


def agree(a, b):
    assert a.shape == b.shape
    assert (a - b).abs().max() < TOLERANCE


def check(model, names, *, context="a photo of a", suffix=".", contexts=2, scale=1.0):
    """At offset 0 equal to encode_text itself, at random offsets to the plain forward."""
    tower = text_tower(model, TOKENIZER, names, context=context, suffix=suffix)
    prompts = [f"{context} {name}{suffix}".strip().replace("_", " ") for name in names]
    length, width = tower.context_length, tower.context_width
    agree(
        tower.encode(torch.zeros(1, length, width))[0],
        model.encode_text(TOKENIZER(prompts), normalize=True),
    )
    generator = torch.Generator().manual_seed(contexts)
    offsets = scale * torch.randn(contexts, length, width, generator=generator)
    agree(tower.encode(offsets), plain(model, prompts, offsets))


names_of_words = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map("_".join), min_size=1, max_size=12
)
many_tokens = st.lists(
    st.integers(1, 40).map(lambda count: " ".join(["cat", *["dog"] * (count - 1)])),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(
    names=names_of_words | many_tokens,
    words=st.integers(0, 16),
    contexts=st.sampled_from([1, 3]),
)
@example(names=["cat"], words=0, contexts=1)
def test_random_names_and_contexts_agree_with_the_plain_forward(names, words, contexts):
    check(small_model(), names, context=" ".join(["word"] * words), contexts=contexts)


@pytest.mark.parametrize("count", [*range(1, 6), 17, 39, 40])
def test_names_of_1_to_40_tokens(count):
    check(small_model(), [" ".join(["dog"] * count), "cat"])


@pytest.mark.parametrize(
    "names",
    [
        ["cat"],
        ["cat", "cat"],
        ["cat", "dog", "cat", "cat dog"],
        ["cat dog", "cat", "cat dog cat dog"],
        ["dog " * n + "cat" for n in range(1, 30)],
        [f"{a} {b}" for a in WORDS for b in WORDS],
    ],
    ids=["single", "all equal", "duplicates", "nested", "ragged", "many"],
)
def test_awkward_sets_of_names(names):
    check(small_model(), names)


def test_a_population_of_40_in_memory_sized_batches():
    names = ["cat", "dog", "tabby cat", "a 1998 dog"]
    weights = TextWeights.from_model(small_model())
    prompt = PromptTokens.tokenise(TOKENIZER, names)
    offsets = torch.randn(40, 4, 16, generator=torch.Generator().manual_seed(0))
    whole = TextTower(weights, prompt).encode(offsets)
    one_by_one = TextTower(weights, prompt, max_batch_bytes=1).encode(offsets)
    agree(whole, one_by_one)
    agree(whole, plain(small_model(), [f"a photo of a {name}." for name in names], offsets))


def test_batches_run_side_by_side_on_the_cores_that_a_job_has(monkeypatch):
    """Each on one core; with gradients, whose graph one thread records, one after the other."""
    weights = TextWeights.from_model(small_model())
    prompt = PromptTokens.tokenise(TOKENIZER, ["cat", "tabby cat"])
    tower = TextTower(weights, prompt)
    offsets = torch.randn(5, 4, 16, generator=torch.Generator().manual_seed(0))
    ran, encode = [], tower._encode

    def watched(part):
        ran.append((threading.current_thread().name, len(part), torch.get_num_threads()))
        return encode(part)

    monkeypatch.setattr(tower, "_encode", watched)
    before = torch.get_num_threads()
    with_gradients = tower.encode(offsets)
    assert ran == [("MainThread", 5, before)]
    torch.set_num_threads(3)
    try:
        with torch.no_grad():
            side_by_side = tower.encode(offsets)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert sorted(count for _, count, _ in ran[1:]) == [1, 2, 2]
    assert all(name.startswith("core") and threads == 1 for name, _, threads in ran[1:])
    assert not side_by_side.requires_grad
    agree(side_by_side, with_gradients)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_half_precision_answers_as_single_precision_does(dtype, bound):
    """Unit features in float32; the class that is nearest to an image stays the same."""
    names = [f"{a} {b}" for a in WORDS for b in WORDS[:3]]
    weights = TextWeights.from_model(small_model(layers=4))
    prompt = PromptTokens.tokenise(TOKENIZER, names)
    offsets = torch.randn(3, 4, 16, generator=torch.Generator().manual_seed(0))
    exact = TextTower(weights, prompt).encode(offsets)
    half = TextTower(weights, prompt, dtype=dtype).encode(offsets)
    assert half.dtype == torch.float32
    assert 1e-5 < (half - exact).abs().max() < bound
    images = F.normalize(torch.randn(200, 12, generator=torch.Generator().manual_seed(1)), dim=-1)
    best = (exact @ images.T).argmax(dim=1), (half @ images.T).argmax(dim=1)
    assert (best[0] == best[1]).double().mean() > 0.9


def test_other_types_are_refused():
    prompt = PromptTokens.tokenise(TOKENIZER, ["cat"])
    with pytest.raises(ValueError, match=r"float64 is not one of float32, bfloat16, float16"):
        TextTower(TextWeights.from_model(small_model()), prompt, dtype=torch.float64)


def test_a_forward_on_a_device_reads_no_number():
    """On the device "meta" nothing is computed, so whatever asks for a number raises."""
    weights = TextWeights.from_model(small_model())
    prompt = PromptTokens.tokenise(TOKENIZER, ["cat", "tabby cat"] * 20 + [f"a {n}" for n in WORDS])
    tower = TextTower(weights, prompt, device="meta")
    features = tower.encode(torch.zeros(3, 4, 16))
    assert features.is_meta and features.shape == (3, 49, 12)


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("quick_gelu", [True, False])
@pytest.mark.parametrize("kind", [CLIP, CustomTextCLIP])
def test_model_classes_activations_and_depths(kind, quick_gelu, layers):
    check(small_model(kind, quick_gelu, layers=layers), ["cat", "tabby cat", "dog"])


@pytest.mark.parametrize(
    "text",
    [
        {"proj_bias": True},
        {"proj_type": "none"},
        {"pool_type": "eos", "eos_id": 49407},
        {"ls_init_value": 0.5},
    ],
    ids=lambda text: next(iter(text)),
)
def test_variants_of_open_clips_text_transformer(text):
    check(small_model(CustomTextCLIP, **text), ["cat", "tabby cat"])


def test_gelu_by_its_tanh_approximation():
    model = small_model(quick_gelu=False, seed=1)
    for block in model.transformer.resblocks:
        block.mlp.gelu.approximate = "tanh"
    assert TextWeights.from_model(model).activation == "gelu_tanh"
    check(model, ["cat", "tabby cat"])


def test_a_short_context_length():
    model = small_model(context_length=12)
    ids = TOKENIZER(["a photo of a cat."], context_length=12)
    ours = text_tower(model, TOKENIZER, ["cat"]).encode(torch.zeros(1, 4, 16))[0]
    agree(ours, model.encode_text(ids, normalize=True))


@pytest.mark.parametrize("name", ["RN50", "RN50-quickgelu", "ViT-B-32"])
def test_full_sized_text_towers(name):
    torch.manual_seed(0)
    config = open_clip.get_model_config(name)
    model = CLIP(
        config["embed_dim"], VISION, config["text_cfg"], quick_gelu=config.get("quick_gelu", False)
    )
    check(model.eval().requires_grad_(False), ["cat", "tabby cat"], contexts=1, scale=0.02)


def test_gradients_agree_with_the_plain_forward():
    names = ["cat", "dog", "tabby cat", "tabby dog"]
    model, weight = small_model(), torch.randn(4, 12, generator=torch.Generator().manual_seed(1))
    offsets = torch.randn(1, 4, 16, generator=torch.Generator().manual_seed(2))
    ours, theirs = offsets.clone().requires_grad_(), offsets.clone().requires_grad_()
    (text_tower(model, TOKENIZER, names).encode(ours) * weight).sum().backward()
    (plain(model, [f"a photo of a {name}." for name in names], theirs) * weight).sum().backward()
    assert theirs.grad.abs().max() > 1e-3
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5)


def test_a_wordless_context_takes_the_place_of_the_words():
    """L = 16 vectors: what CoOp learns, start of text before and the name behind it."""
    model = small_model()
    vectors = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    tower = text_tower(model, TOKENIZER, ["cat", "tabby cat"]).with_context(vectors)
    assert tower.context_length == 16
    prompts = [" ".join(["word"] * 16) + f" {name}." for name in ("cat", "tabby cat")]
    word = model.token_embedding.weight[TOKENIZER.encode("word")[0]]
    agree(tower.encode(torch.zeros(1, 16, 16)), plain(model, prompts, (vectors - word)[None]))


def test_a_wordless_context_leaves_the_tower_it_came_from_alone():
    tower = text_tower(small_model(), TOKENIZER, ["cat"])
    before = tower.encode(torch.zeros(1, 4, 16))
    tower.with_context(torch.ones(2, 16))
    assert tower.context_length == 4
    assert torch.equal(tower.encode(torch.zeros(1, 4, 16)), before)


def test_exported_weights_and_prompts_give_the_same_features(tmp_path):
    model, names = small_model(), ("tabby_cat", "dog")
    TextWeights.from_model(model).write(tmp_path / "text.safetensors", {"backbone": "small"})
    learner = PromptTokens.tokenise(TOKENIZER, names)
    template = PromptTokens.tokenise(TOKENIZER, names, "{} texture.")
    Prompts("small", "pets", learner, template).write(tmp_path / "prompts.json")
    weights = TextWeights.read(tmp_path / "text.safetensors")
    prompts = Prompts.read(tmp_path / "prompts.json")
    assert prompts.learner == learner and prompts.zero_shot == template
    tower = TextTower(weights, prompts.learner)
    direct = text_tower(model, TOKENIZER, names)
    offsets = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tower.encode(offsets), direct.encode(offsets))
    assert tower.class_names == names
    assert tower.logit_scale == pytest.approx(float(model.logit_scale.exp()))
    assert tower.embedding_std == pytest.approx(float(model.token_embedding.weight.std()))
    zero_shot = TextTower(weights, prompts.zero_shot)
    agree(
        zero_shot.encode(torch.zeros(1, 0, 16))[0],
        model.encode_text(TOKENIZER(["tabby cat texture.", "dog texture."]), normalize=True),
    )


def test_embedding_std_is_of_the_tokens_that_pretraining_used():
    model = small_model(seed=7)
    table = model.token_embedding.weight
    assert TextWeights.from_model(model).embedding_std == float(table.std())
    model.pretrained_tokens = torch.tensor([5, 9, 700])
    expected = float(table[model.pretrained_tokens].std())
    assert TextWeights.from_model(model).embedding_std == expected
    assert text_tower(model, TOKENIZER, ["cat"]).embedding_std == expected


def test_weights_are_a_copy_of_the_model():
    model = small_model(seed=3)
    tower = text_tower(model, TOKENIZER, ["cat"])
    before = tower.encode(torch.zeros(1, 4, 16))
    for value in model.parameters():
        value.zero_()
    assert torch.equal(tower.encode(torch.zeros(1, 4, 16)), before)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ({"no_causal_mask": True}, "no causal mask"),
        ({"embed_cls": True}, "embed_cls"),
        ({"pool_type": "last"}, "'last'"),
        ({"qk_norm": True}, "CustomResidualAttentionBlock"),
    ],
)
def test_other_text_towers_are_refused_by_name(text, named):
    with pytest.raises(UnsupportedTextTower, match=named):
        TextWeights.from_model(small_model(CustomTextCLIP, **text))


def test_a_logit_bias_which_is_the_same_for_every_class_is_left_out():
    model = small_model(seed=4)
    model.logit_bias = torch.nn.Parameter(torch.tensor(-10.0))
    check(model, ["cat", "tabby cat"])


def test_a_model_read_out_elsewhere_is_refused():
    model = small_model(CustomTextCLIP, pool_type="eos", eos_id=7)
    with pytest.raises(UnsupportedTextTower, match="token 0"):
        text_tower(model, TOKENIZER, ["cat"])


def test_a_prompt_that_is_too_long_names_its_class():
    with pytest.raises(PromptError, match=r"'dog dog.*: the prompt has 82 tokens"):
        text_tower(small_model(), TOKENIZER, ["cat", "dog " * 74 + "dog"])
    tower = text_tower(small_model(), TOKENIZER, ["cat", "dog " * 69 + "dog"])  # 77: just fits
    with pytest.raises(PromptError, match=r"'dog dog.*: the prompt has 78 tokens"):
        tower.with_context(torch.zeros(5, 16))


@pytest.mark.parametrize("shape", [(1, 3, 16), (1, 4, 15), (4, 16)])
def test_offsets_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match="not "):
        text_tower(small_model(), TOKENIZER, ["cat"]).encode(torch.zeros(shape))


def test_tokens_that_merge_across_the_border_are_refused():
    with pytest.raises(PromptError, match="share their context"):
        PromptTokens.tokenise(TOKENIZER, ["cat", "dog"], "photo{}")


@pytest.mark.parametrize("template", ["a photo", "{} and {}"])
def test_templates_have_one_place_for_the_name(template):
    with pytest.raises(PromptError, match="exactly once"):
        PromptTokens.tokenise(TOKENIZER, ["cat"], template)


def test_foreign_files_are_named(tmp_path):
    (tmp_path / "x").write_text("{}")
    with pytest.raises(RecordError, match="x"):
        Prompts.read(tmp_path / "x")
    with pytest.raises(RecordError, match="x"):
        TextWeights.read(tmp_path / "x")


def test_a_text_tower_of_wrong_shapes_or_types_is_named(tmp_path):
    whole, path = text_weights(), tmp_path / "text.safetensors"
    said = r"text\.safetensors: \S+: expected shape \(.*got \("
    for name, tensor in whole.tensors.items():
        for damaged in (tensor[..., None], tensor[..., 1:].contiguous(), tensor.double()):
            replace(whole, tensors=whole.tensors | {name: damaged}).write(path, {})
            with pytest.raises(RecordError, match=said):
                TextWeights.read(path)
    for change, said in (
        ({"heads": 3}, "3 heads do not divide a width of 16"),
        ({"layers": "1"}, "layers: expected a valid integer, got '1'"),
        ({"layers": 0}, "0 layers"),
        (
            {"activation": "relu"},
            "activation: expected one of gelu, .* got 'relu'",
        ),
        ({"logit_scale": float("nan")}, "logit_scale: expected a finite number, got nan"),
    ):
        replace(whole, **change).write(path, {})
        with pytest.raises(RecordError, match=rf"text\.safetensors: .*{said}"):
            TextWeights.read(path)


def test_prompts_of_another_vocabulary_or_without_tokens_are_named(tmp_path):
    tokens = PromptTokens("a {}.", ("cat", "dog"), 0, (1,), ((3, 20), (4, 19)))
    with pytest.raises(PromptError, match="'cat': token 20, of a model of 20 tokens"):
        TextTower(text_weights(), tokens)
    path = tmp_path / "prompts.json"
    for change, said in (
        ({"suffix_ids": ((3, 19),)}, "2 class names, tokens behind 1 of them"),
        (
            {"suffix_ids": ((3, 19), ("x",))},
            r"zero_shot\.suffix_ids\[1\]\[0\]: expected a valid integer, got 'x'",
        ),
        ({"class_names": ()}, "0 class names"),
    ):
        Prompts("b", "d", tokens, replace(tokens, **change)).write(path)
        with pytest.raises(RecordError, match=rf"prompts\.json: .*{said}"):
            Prompts.read(path)


# --- packing --------------------------------------------------------------------------------------

suffixes_of_tokens = st.lists(
    st.lists(st.integers(0, 3), max_size=9).map(lambda ids: (*ids, 9)), min_size=1, max_size=60
)


@settings(max_examples=60, deadline=None)
@given(suffixes=suffixes_of_tokens, context_length=st.integers(0, 5))
def test_every_suffix_can_be_read_back_from_its_end(suffixes, context_length):
    packing = pack(suffixes, context_length, width=64)
    prefix = 1 + context_length
    assert len(packing.ends) == len(set(suffixes))
    for suffix, end in zip(suffixes, packing.ends[packing.class_to_end].tolist(), strict=True):
        here, slot = divmod(end, packing.size)
        seen = packing.keys[here, packing.visible[here, slot]]
        assert seen[:prefix].tolist() == list(range(prefix))
        assert tuple(packing.token_ids[seen[prefix:] - prefix].tolist()) == suffix
        assert packing.depths[seen[prefix:] - prefix].tolist() == list(range(len(suffix)))
    assert torch.equal(packing.ends_of_bins.flatten()[packing.real_ends], packing.ends)
    assert (packing.ends_of_bins // packing.size == torch.arange(packing.bins)[:, None]).all()


def test_shared_beginnings_are_stored_once():
    suffixes = [(1, 2, 3, 9), (1, 2, 4, 9), (1, 2, 9), (1, 2, 9)]
    packing = pack(suffixes, context_length=4, width=64)
    assert packing.tokens == 5 + 7  # 1 2, then 3 9, 4 9 and 9
    assert packing.bins * packing.size == packing.tokens


def test_padding_is_at_most_a_slot_to_a_bin():
    suffixes = [(n, *range(n % 13), 999) for n in range(100, 400)]
    packing = pack(suffixes, context_length=4, width=512)
    assert packing.bins > 1
    assert packing.bins * packing.size - packing.tokens < packing.bins
