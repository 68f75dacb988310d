"""Few-shot sets by CoOp's protocol."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from craft.data.splits import SplitError, draw, main
from craft.files.datasets import Image, Manifest, Split

#: SHA-256 of the printed lists of shots 1, 2, 4, 8, 16 and seeds 1, 2, 3 one after the other, for
#: each split_zhou_{name}.json; made with the random module alone.
PUBLISHED = {
    "Caltech101": "06d1b994de06ac81c60708e53a0af8644670c0255ada0ac64131e113d1880eac",
    "DescribableTextures": "e4cb6b6086c357419ac0fe6fef7f06062b7de2c627b967f288d52acee0984c4e",
    "EuroSAT": "b2e02ab4fb48969deffd58946daca872d8b0f15d3b8e38dc7a38108e01d6649a",
    "OxfordFlowers": "114c18a943668385156ed9bb9ca6c70c6dca04791b6f958a11d4cbd368e77052",
    "OxfordPets": "c55c5e177a211925d67a762d36690ab73c418a306b181cf590e31bc8bf51e1fa",
    "StanfordCars": "a13d128cbd16b1c30ad6ffe95f6f13bc103256637783babe32da0158e41f71cf",
    "UCF101": "2d7d012e80389b450fc372a60d21bf18bcf8752173d8bfde8968df4664309fcb",
}


def by_the_global_generator(labels, shots, seed):
    """The protocol as CoOp writes it: the module's own generator, seeded once."""
    groups = {}
    for position, label in enumerate(labels):
        groups.setdefault(label, []).append(position)
    state = random.getstate()
    try:
        random.seed(seed)
        return [item for group in groups.values() for item in random.sample(group, shots)]
    finally:
        random.setstate(state)


def split_json(folder, per_class=20):
    """Classes first met in the order 2, 0, 1."""
    train = [[f"{c}/{n:03}.jpg", c, f"name {c}"] for c in (2, 0, 1) for n in range(per_class)]
    path = folder / "split.json"
    path.write_text(json.dumps({"train": train, "val": [], "test": [["2/t.jpg", 2, "name 2"]]}))
    return path


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=80),
    shots=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_the_stream_is_that_of_the_global_generator(labels, shots, seed):
    enough = [label for label in labels if labels.count(label) >= shots]
    drawn = draw(enough, shots, seed)
    assert drawn == by_the_global_generator(enough, shots, seed)


def test_a_list_written_down():
    """Drawn once with random.seed(1); random.sample(range(10), 2) per class, first 1 then 0."""
    assert draw([1] * 10 + [0] * 10, 2, 1) == [2, 1, 14, 11]


def test_the_global_generator_is_left_alone():
    random.seed(5)
    expected = random.random()
    random.seed(5)
    draw([0, 0, 1, 1], 1, 3)
    assert random.random() == expected


def test_a_class_that_is_too_small():
    with pytest.raises(SplitError, match="class 7 has 2 training images, fewer than 3 shots"):
        draw([7, 7, 8, 8, 8], 3, 1)
    drawn = draw([7, 7, 8, 8, 8], 3, 1, repeat=True)
    assert len(drawn) == 6 and set(drawn[:3]) <= {0, 1} and set(drawn[3:]) == {2, 3, 4}


@pytest.mark.parametrize("shots", [0, -1])
def test_shots_are_positive(shots):
    with pytest.raises(SplitError, match="shots: expected 1 or more"):
        draw([0], shots, 1)


def test_printed_paths_follow_the_protocol(tmp_path, capsys):
    path = split_json(tmp_path)
    main(["--split", str(path), "--shots", "4", "--seed", "2"])
    train = json.loads(path.read_text())["train"]
    expected = by_the_global_generator([item[1] for item in train], 4, 2)
    assert capsys.readouterr().out.splitlines() == [train[n][0] for n in expected]


def test_files_for_many_shots_and_seeds(tmp_path):
    train = json.loads(split_json(tmp_path).read_text())["train"]
    images = [Image(path, label, name, "train") for path, label, name in train]
    # Test images between training ones must not shift the draw.
    images.insert(3, Image("2/test.jpg", 2, "name 2", "test"))
    Manifest(tuple(images)).write(tmp_path / "m.csv")
    pattern = str(tmp_path / "shots-{shots}" / "seed-{seed}.json")
    main(
        f"--manifest {tmp_path}/m.csv --dataset toy --out-pattern {pattern} "
        "--shots 1 4 --seed 1 2 3".split()
    )
    written = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("seed-*"))
    assert written == [f"shots-{k}/seed-{s}.json" for k in (1, 4) for s in (1, 2, 3)]
    split = Split.read(tmp_path / "shots-4" / "seed-2.json")
    expected = by_the_global_generator([item[1] for item in train], 4, 2)
    assert split.paths == tuple(train[n][0] for n in expected)
    assert split.labels == (2,) * 4 + (0,) * 4 + (1,) * 4
    assert (split.dataset, split.shots, split.seed) == ("toy", 4, 2)
    assert split.class_names == ("name 0", "name 1", "name 2")


def test_a_pattern_that_would_overwrite_is_refused(tmp_path):
    Manifest((Image("a.jpg", 0, "a", "train"),)).write(tmp_path / "m.csv")
    with pytest.raises(SplitError, match=r"lacks \{seed\}"):
        main(
            f"--manifest {tmp_path}/m.csv --dataset toy --shots 1 --seed 1 2 "
            f"--out-pattern {tmp_path}/{{shots}}.json".split()
        )


def test_a_foreign_file_is_named(tmp_path):
    (tmp_path / "x.json").write_text('{"train": [1]}')
    with pytest.raises(SplitError, match=r"x\.json: not a CoOp split file"):
        main(["--split", str(tmp_path / "x.json"), "--shots", "1", "--seed", "1"])


def test_printing_needs_neither_torch_nor_numpy(tmp_path):
    code = (
        "import sys\n"
        "from craft.data.splits import main\n"
        f"main(['--split', {str(split_json(tmp_path))!r}, '--shots', '1', '--seed', '1'])\n"
        "print(sorted({'torch', 'numpy', 'open_clip'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_lists_are_reproduced(name, capsys):
    folder = os.environ.get("CRAFT_SPLITS")
    if not folder:
        pytest.skip("set CRAFT_SPLITS to a folder with CoOp's split_zhou_*.json files")
    path = str(Path(folder) / f"split_zhou_{name}.json")
    for shots in (1, 2, 4, 8, 16):
        for seed in (1, 2, 3):
            main(["--split", path, "--shots", str(shots), "--seed", str(seed)])
    assert hashlib.sha256(capsys.readouterr().out.encode()).hexdigest() == PUBLISHED[name]
