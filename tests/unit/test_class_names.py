"""Class names as prompts: which of them a text tower cannot tell apart, and who is told."""

from pathlib import Path

import pytest

from craft.blackbox.backbones.description import read_backbone, tokenizer_of
from craft.blackbox.text.tokenise import PromptTokens, indistinct
from craft.data.class_names import alike, cleaned, with_unknown_words
from craft.data.surveys import notices
from craft.mini.backbone import read_vocabulary

EUROSAT = (
    "Annual Crop Land",
    "Forest",
    "Herbaceous Vegetation Land",
    "Highway or Road",
    "Industrial Buildings",
    "Pasture Land",
    "Permanent Crop Land",
    "Residential Buildings",
    "River",
    "Sea or Lake",
)


@pytest.fixture(params=["mini-rn", "mini-vit"])
def backbone(request):
    return read_backbone(f"config/backbones/{request.param}.yaml")


def test_the_words_of_a_backbone_are_its_vocabulary(backbone):
    tokenizer = tokenizer_of(backbone)
    # Padding, the end of a sentence, and the ends of the text lie beside the words.
    tokens = {0, *tokenizer.encode("."), tokenizer.sot_token_id, tokenizer.eot_token_id}
    tokens |= {token for word in backbone["words"] for token in tokenizer.encode(word)}
    assert tokens == set(read_vocabulary(Path(backbone["weights"])).tolist())


def test_a_small_vocabulary_sees_four_prompts_for_the_ten_classes_of_eurosat(backbone):
    tokenizer = tokenizer_of(backbone)
    tokens = PromptTokens.tokenise(tokenizer, EUROSAT)
    groups = indistinct(tokens, tokenizer, backbone["words"])
    assert len(EUROSAT) - sum(len(group) - 1 for group in groups) == 4
    assert ("Forest", "River") in groups
    assert indistinct(tokens, tokenizer, None) == ()


def test_names_that_a_tokenizer_cleans_to_one_text_share_a_prompt(backbone):
    tokenizer = tokenizer_of(backbone)
    names = ("Red_box", "red box", "ring")
    tokens = PromptTokens.tokenise(tokenizer, names)
    assert indistinct(tokens, tokenizer, None) == (names[:2],) == tuple(alike(names))


def test_cleaning_is_the_tokenizers_where_it_finds_names_alike(backbone):
    tokenizer = tokenizer_of(backbone)
    names = [
        "A  b",
        "a b",
        "a_b",
        "a &amp; b",
        "a & b",
        "caf\u00e9",
        "cafe\u0301",
        "CAF\u00c9",
        "a-b",
    ]
    for first in names:
        for second in names:
            if cleaned(first) == cleaned(second):
                one, other = (tokenizer.encode(n.replace("_", " ")) for n in (first, second))
                assert one == other


def test_unknown_words():
    assert with_unknown_words(["red ring", "Red_moon", "red box"], ["red", "ring", "moon"]) == [
        "red box"
    ]


def test_the_configuration_check_names_a_vocabulary_that_lacks_class_names(tmp_path):
    (tmp_path / "data/x").mkdir(parents=True)
    (tmp_path / "data/x/split.json").write_text(
        '{"train": [["a.jpg", 0, "red ring"]], "test": [["b.jpg", 1, "Forest"]]}'
    )
    suite = {
        "data": "data",
        "datasets": ["x", "y"],
        "facts": {name: {"name": name, "kind": "split_json"} for name in "xy"},
        "backbone_facts": {"small": {"name": "small", "words": ["red", "ring"]}, "big": {}},
    }
    (notice,) = notices(suite, {}, tmp_path)  # the files of y are not there yet
    assert "small was pretrained on 2 words" in notice
    assert "1 of 2 class names of x" in notice and "'Forest'" in notice
