"""A user's own images: what is listed, what is divided, and everything that is told before work."""

import csv
import itertools
import json
import os
import shutil

import pytest
import yaml
from open_clip import SimpleTokenizer
from PIL import Image as Picture

from craft.config.load import ConfigError, load
from craft.data.layouts import ManifestError
from craft.data.manifest import build, check_labels, check_paths, main
from craft.data.rgb import ImageError
from craft.data.user_images import _in_order, survey
from craft.files.datasets import Image, Manifest
from tests.unit.test_pictures import halves

FOLDER = {"name": "mine", "kind": "image_folder", "root": "photos", "template": "a {}."}
LIST = FOLDER | {"kind": "image_list", "list": "list.csv"}


def files(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def table(path, header, *rows):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header.split(","), *rows])


def listed(root, facts, source=None):
    images = build(root, facts, source).images
    return [(i.path, i.label, i.class_name, i.split) for i in images]


@pytest.fixture
def photos(tmp_path):
    """Two classes, three training and two test images of each."""
    for name in ("red fox", "Blue"):
        files(tmp_path, *(f"train/{name}/{n}.jpg" for n in range(3)))
        files(tmp_path, *(f"test/{name}/{n}.PNG" for n in range(2)))
    return tmp_path


def problems(root, facts, shots=0, source=None):
    return survey(root, facts, root / "no manifest.csv", shots, source).problems


# --- folders --------------------------------------------------------------------------------------


def test_folders_of_parts_in_sorted_order(photos):
    files(photos, "train/red fox/.DS_Store", "train/Thumbs.db", "readme.txt", "val/Blue/9.gif")
    assert listed(photos, FOLDER) == [
        *((f"train/Blue/{n}.jpg", 0, "Blue", "train") for n in range(3)),
        *((f"train/red fox/{n}.jpg", 1, "red fox", "train") for n in range(3)),
        ("val/Blue/9.gif", 0, "Blue", "val"),
        *((f"test/Blue/{n}.PNG", 0, "Blue", "test") for n in range(2)),
        *((f"test/red fox/{n}.PNG", 1, "red fox", "test") for n in range(2)),
    ]


def test_names_and_the_order_of_labels_come_from_a_file(photos):
    table(photos / "names.csv", "class,name", ["red fox", "vulpes, the fox"], ["Blue", "blue tit"])
    found = listed(photos, FOLDER | {"classes": "names.csv"})
    assert found[0] == ("train/red fox/0.jpg", 0, "vulpes, the fox", "train")
    assert found[-1] == ("test/Blue/1.PNG", 1, "blue tit", "test")


SHARES = {"train": 0.5, "val": 0.1, "test": 0.4, "seed": 1}


@pytest.fixture
def heap(tmp_path):
    """Two classes without parts; one is called as a part is."""
    for name, count in (("train", 10), ("plane", 25)):
        files(tmp_path, *(f"{name}/{n:02}.jpg" for n in range(count)))
    return tmp_path


def test_shares_divide_each_class_the_same_whenever_it_is_done(heap):
    facts = FOLDER | {"shares": SHARES}
    found = listed(heap, facts)
    counts = {}
    for _, _, name, part in found:
        counts[name, part] = counts.get((name, part), 0) + 1
    assert counts == {
        ("train", "train"): 5,
        ("train", "val"): 1,
        ("train", "test"): 4,
        ("plane", "train"): 12,
        ("plane", "val"): 3,
        ("plane", "test"): 10,
    }
    assert len({path for path, *_ in found}) == 35
    assert found == listed(heap, facts)
    # As reviewed and published: another Python may not divide otherwise.
    assert [path for path, _, name, part in found if (name, part) == ("train", "test")] == [
        "train/01.jpg",
        "train/02.jpg",
        "train/06.jpg",
        "train/09.jpg",
    ]


def test_another_class_or_seed(heap):
    facts = FOLDER | {"shares": SHARES}
    before = {row[0]: row[3] for row in listed(heap, facts)}
    files(heap, *(f"another/{n}.jpg" for n in range(10)))
    after = {row[0]: row[3] for row in listed(heap, facts)}
    assert before.items() <= after.items()
    other = {row[0]: row[3] for row in listed(heap, FOLDER | {"shares": SHARES | {"seed": 2}})}
    assert any(other[path] != part for path, part in before.items())


def test_a_manifest_is_a_list_that_gives_itself(heap):
    manifest = build(heap, FOLDER | {"shares": SHARES})
    manifest.write(heap / "list.csv")
    assert build(heap, LIST) == manifest


SKY = {0: "earth", 1: "luna", 2: "sol"}


def test_a_shifted_test_set_takes_labels_from_its_source_by_name(tmp_path):
    files(tmp_path, "sun/1.jpg", "moon/2.jpg")
    # In another order than the source's: names decide.
    table(tmp_path / "names.csv", "class,name", ["sun", "sol"], ["moon", "luna"])
    facts = FOLDER | {"source": "sky", "classes": "names.csv"}
    assert listed(tmp_path, facts, SKY) == [
        ("moon/2.jpg", 1, "luna", "test"),
        ("sun/1.jpg", 2, "sol", "test"),
    ]
    assert problems(tmp_path, facts, source=SKY) == []
    with pytest.raises(ManifestError, match="class names of sky"):
        build(tmp_path, facts)


def test_classes_that_the_source_of_a_shifted_test_set_lacks_are_named(tmp_path):
    files(tmp_path, "luna/1.jpg", "sun/2.jpg")
    (found,) = problems(tmp_path, FOLDER | {"source": "sky"}, source=SKY)
    assert "sky does not have: sun" in found and "luna" not in found


def test_a_published_shifted_test_set_must_name_labels_as_its_source():
    images = Manifest((Image("1.jpg", 0, "b", "test"), Image("2.jpg", 1, "a", "test")))
    check_labels(images, {"name": "y", "source": "x"}, {0: "b", 1: "a", 2: "c"})
    with pytest.raises(ManifestError, match="class 0 is 'b', of its source x 'a'"):
        check_labels(images, {"name": "y", "source": "x"}, {0: "a", 1: "b"})


# --- lists ----------------------------------------------------------------------------------------


@pytest.fixture
def heaped(tmp_path):
    files(tmp_path, *(f"{n}.jpg" for n in range(4)))
    return tmp_path


ROWS = [
    ["0.jpg", "b", "train"],
    ["1.jpg", "a", "train"],
    ["2.jpg", "b", "test"],
    ["3.jpg", "a", "val"],
]


def test_a_list_of_class_names(heaped):
    table(heaped / "list.csv", "path,class_name,split", *ROWS)
    assert listed(heaped, LIST) == [
        ("1.jpg", 0, "a", "train"),
        ("0.jpg", 1, "b", "train"),
        ("3.jpg", 0, "a", "val"),
        ("2.jpg", 1, "b", "test"),
    ]


def test_a_list_of_numbers_and_a_file_of_names(heaped):
    rows = [[path, {"a": "2", "b": "10"}[name], split] for path, name, split in ROWS]
    table(heaped / "list.csv", "path,label,split", *rows)
    assert {row[:3] for row in listed(heaped, LIST)} >= {("1.jpg", 0, "2"), ("0.jpg", 1, "10")}
    table(heaped / "names.csv", "class,name", ["10", "ten"], ["2", "two"])
    named = listed(heaped, LIST | {"classes": str(heaped / "names.csv")})
    assert {row[:3] for row in named} >= {("1.jpg", 1, "two"), ("0.jpg", 0, "ten")}


# --- everything that is wrong, at once ------------------------------------------------------------


def test_no_such_root(tmp_path):
    assert problems(tmp_path / "gone", FOLDER) == [f"root {tmp_path}/gone: no such folder"]


def test_classes_too_small_for_the_shots(photos):
    files(photos, "train/odd/1.jpg", "test/odd/1.jpg")
    (found,) = problems(photos, FOLDER, 3)
    assert "classes with fewer training images than 3 shots: odd (1)" in found
    (photos / "train/Blue/0.jpg").unlink()
    assert "Blue (2), odd (1)" in problems(photos, FOLDER, 3)[0]
    assert problems(photos, FOLDER, 1) == []


def test_a_heap_without_parts_is_not_divided_unasked(heap):
    (found,) = problems(heap, FOLDER, 1)
    assert "lacks test/, has plane, train" in found and "`shares`" in found
    (heap / "train").rename(heap / "car")
    (found,) = problems(heap, FOLDER, 1)
    assert "has no train/ and test/ but car, plane" in found and "`shares`" in found


def test_all_that_is_wrong_with_folders_is_said(photos):
    files(photos, "extra/1.jpg", "test/loose.jpg", "train/Blue/notes.txt", "train/Blue/deep/1.jpg")
    (photos / "test" / "void").mkdir()
    found = "\n".join(problems(photos, FOLDER, 2))
    for text in (
        "has train/ and test/, and beside them: extra",
        "test: images outside a class's folder: loose.jpg",
        "Blue: no images by their names (.bmp .gif .jpeg .jpg .png .tif .tiff .webp): deep, notes",
        "void: an empty folder",
    ):
        assert text in found
    with pytest.raises(ManifestError, match="mine: 4 problems\n- "):
        build(photos, FOLDER)


def test_a_share_that_gives_no_image(tmp_path):
    files(tmp_path, "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg")
    facts = FOLDER | {"shares": {"train": 0.9, "test": 0.1, "seed": 1}}
    assert problems(tmp_path, facts) == [
        "a: 0.1 of 2 images is no test image",
        "b: 0.1 of 2 images is no test image",
    ]


def test_all_that_is_wrong_with_names_is_said(photos):
    rows = [["Blue", "tit"], ["Blue", "bird"], ["wolf", "bird"], ["bear", ""]]
    table(photos / "names.csv", "class,name", *rows)
    found = "\n".join(problems(photos, FOLDER | {"classes": "names.csv"}, 1))
    for text in (
        "names.csv: class given more than once: Blue",
        "names.csv: name given more than once: bird",
        "names.csv: lines without a class or a name: 5",
        "names.csv: classes without images: wolf, bear",
        "names.csv: classes that it does not name: red fox",
    ):
        assert text in found


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"wnid,title\n", "lacks columns class, name"), (b"\xff\xfe\x00", "not a readable CSV")],
)
def test_foreign_files_of_names(photos, content, problem):
    (photos / "names.csv").write_bytes(content)
    assert problem in problems(photos, FOLDER | {"classes": "names.csv"})[0]


def test_all_that_is_wrong_with_a_list_is_said(heaped):
    rows = [*ROWS, ["gone.jpg", "a", "train"], ["0.jpg", "b", "test"], ["../x.jpg", "", "dev"]]
    table(heaped / "list.csv", "path,class_name,split", *rows)
    found = "\n".join(problems(heaped, LIST, 1))
    for text in (
        "list.csv: split: expected one of train, val, test, got: 'dev'",
        "list.csv: no class_name of: ../x.jpg",
        "list.csv: listed more than once: 0.jpg",
        "list.csv: not below",
        "list.csv: not in",
    ):
        assert text in found
    assert "gone.jpg" in found


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("file,class_name,split", "lacks columns path; it has file, class_name, split"),
        ("path,kind,split", r"lacks columns class_name (or label)"),
        ("path,label", "lacks columns split"),
    ],
)
def test_a_list_that_lacks_columns(heaped, header, problem):
    table(heaped / "list.csv", header, *ROWS)
    assert problem in problems(heaped, LIST)[0]


def test_labels_and_names_that_disagree(heaped):
    table(
        heaped / "list.csv",
        "path,label,class_name,split",
        ["0.jpg", "0", "a", "train"],
        ["1.jpg", "0", "b", "train"],
        ["2.jpg", "1", "b", "test"],
    )
    found = "\n".join(problems(heaped, LIST))
    assert "disagree about label: 0" in found and "disagree about class_name: b" in found


# --- spellings ------------------------------------------------------------------------------------

NFC, NFD = "caf\u00e9", "cafe\u0301"


def test_a_class_folder_in_two_unicode_forms_is_one_class(tmp_path):
    files(tmp_path, *(f"train/{NFC}/{n}.png" for n in range(2)), f"test/{NFD}/0.png")
    files(tmp_path, *(f"train/bar/{n}.png" for n in range(2)), "test/bar/0.png")
    expected = [
        *((f"train/bar/{n}.png", 0, "bar", "train") for n in range(2)),
        *((f"train/{NFC}/{n}.png", 1, NFC, "train") for n in range(2)),
        ("test/bar/0.png", 0, "bar", "test"),
        (f"test/{NFD}/0.png", 1, NFC, "test"),
    ]
    assert problems(tmp_path, FOLDER, 2) == []
    assert listed(tmp_path, FOLDER) == expected
    table(tmp_path / "names.csv", "class,name", ["bar", "bar"], [NFD, "coffee"])
    assert listed(tmp_path, FOLDER | {"classes": "names.csv"})[-1][1:] == (1, "coffee", "test")
    files(tmp_path, f"test/{NFC}/1.png")
    assert f"two folders of one name in two Unicode forms: {NFC}" in problems(tmp_path, FOLDER)[0]


def test_a_list_finds_files_in_another_unicode_form(tmp_path):
    files(tmp_path, *(f"{NFD}/{n}.jpg" for n in range(4)))
    table(
        tmp_path / "list.csv", "path,class_name,split", *[[f"{NFC}/{r[0]}", *r[1:]] for r in ROWS]
    )
    assert [row[0] for row in listed(tmp_path, LIST)] == [f"{NFD}/{n}.jpg" for n in (1, 0, 3, 2)]


def test_names_that_are_not_utf8_are_reported(photos):
    for name in (b"train/Blue/caf\xe9.png", b"test/r\xf4le/1.png"):
        path = os.path.join(os.fsencode(photos), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "wb").close()
    found = problems(photos, FOLDER)
    assert any(r"Blue: names that are not UTF-8: caf\xe9.png; rename" in text for text in found)
    assert any(r"test: names that are not UTF-8: r\xf4le; rename" in text for text in found)
    assert all(text.isprintable() for text in found)


def test_a_published_list_of_names_that_are_not_utf8_is_refused():
    with pytest.raises(ManifestError, match="not UTF-8: a/caf"):
        check_paths([Image("a/caf\udce9.png", 0, "a", "train")])


@pytest.mark.parametrize("other", ["./0.jpg", ".//0.jpg", "link.jpg", "hard.jpg"])
def test_one_file_under_two_paths_in_two_parts_is_a_leak(heaped, other):
    (heaped / "link.jpg").symlink_to("0.jpg")
    os.link(heaped / "0.jpg", heaped / "hard.jpg")
    table(heaped / "list.csv", "path,class_name,split", *ROWS, [other, "b", "test"])
    (found,) = problems(heaped, LIST, 1)
    assert "0.jpg" in found and ("more than once" in found or "several paths" in found)


def test_a_link_from_one_part_to_another_is_a_leak(photos):
    (photos / "test/Blue/9.jpg").symlink_to(photos / "train/Blue/0.jpg")
    (found,) = problems(photos, FOLDER, 1)
    assert "one file under several paths" in found
    assert "train/Blue/0.jpg" in found and "test/Blue/9.jpg" in found


@pytest.mark.parametrize("paths", [("a/0.jpg", "a//0.jpg"), ("a/0.jpg", "./a/0.jpg")])
def test_a_published_list_with_two_spellings_of_a_path_is_refused(paths):
    images = [Image(paths[0], 0, "a", "train"), Image(paths[1], 0, "a", "test")]
    with pytest.raises(ManifestError, match="more than once"):
        check_paths(images)


def test_folders_of_parts_in_capitals_are_recognised(tmp_path):
    for part in ("Train", "TEST", "val"):
        files(tmp_path, f"{part}/a/{part}.jpg", f"{part}/b/{part}.jpg")
    assert {row[3] for row in listed(tmp_path, FOLDER)} == {"train", "val", "test"}
    files(tmp_path, "train/a/1.jpg")
    assert "several folders of part train: Train, train" in problems(tmp_path, FOLDER)[0]


@pytest.mark.parametrize(
    ("there", "lacking"),
    [
        (("train", "val"), "test/"),
        (("test", "validation"), "train/"),
        (("training", "testing"), "train/ and test/"),
    ],
)
def test_folders_that_are_parts_are_not_taken_for_classes(tmp_path, there, lacking):
    files(tmp_path, *(f"{part}/a/1.jpg" for part in there))
    (found,) = problems(tmp_path, FOLDER)
    assert f"lacks {lacking}, has" in found
    assert "shares" not in found and all(name in found for name in there)


@pytest.mark.parametrize("header", ["Path,Class Name,SPLIT", " path , class_name,split "])
def test_headings_with_blanks_and_capitals(heaped, header):
    table(heaped / "list.csv", header, *ROWS)
    assert len(listed(heaped, LIST)) == 4


def test_absolute_paths_below_root_are_told_from_paths_outside(heaped):
    rows = [[str(heaped / "0.jpg"), *ROWS[0][1:]], *ROWS[1:]]
    table(heaped / "list.csv", "path,class_name,split", *rows)
    (found,) = problems(heaped, LIST)
    assert f"absolute paths: {heaped}/0.jpg; expected paths below root" in found


@pytest.mark.parametrize("content", ["", "\n", "path,class_name,split\n"])
def test_an_empty_list_is_called_empty(heaped, content):
    (heaped / "list.csv").write_text(content)
    (found,) = problems(heaped, LIST)
    assert "list.csv: an empty file" in found or "list.csv: lists no image" in found


@pytest.mark.parametrize("names", [("Red_box", "red box", "RED BOX"), ("a &amp; b", "A  & b")])
def test_classes_that_become_one_prompt_are_reported(tmp_path, names):
    for name in (*names, "blue circle"):
        files(tmp_path, f"train/{name}/1.jpg", f"test/{name}/1.jpg")
    (found,) = problems(tmp_path, FOLDER)
    assert "become one prompt" in found and all(repr(name) in found for name in names)
    tokenizer = SimpleTokenizer()
    assert len({tuple(tokenizer.encode(name.replace("_", " "))) for name in names}) == 1


# --- the command and the configuration ------------------------------------------------------------


@pytest.fixture
def pictured(tmp_path):
    for name in ("a", "b"):
        for part, n in (("train", 0), ("test", 1)):
            path = tmp_path / part / name / f"{n}.png"
            path.parent.mkdir(parents=True)
            halves().save(path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(FOLDER))
    return tmp_path


def manifest(root):
    main(f"--dataset {root}/mine.yaml --root {root} --out {root}/out.csv --threads 2".split())
    return Manifest.read(root / "out.csv")


def test_the_command_decodes_what_it_lists(pictured):
    assert len(manifest(pictured).images) == 4
    (pictured / "out.csv").unlink()
    (pictured / "train/a/0.png").write_bytes(b"")
    (pictured / "test/b/1.png").write_bytes(b"GIF89a")
    with pytest.raises(ImageError) as error:
        manifest(pictured)
    first, *rest = str(error.value).splitlines()
    assert first == "2 images cannot be read"
    assert [os.path.relpath(line.partition(":")[0], pictured) for line in rest] == [
        "train/a/0.png",
        "test/b/1.png",
    ]  # in order, however many threads decode
    assert not (pictured / "out.csv").exists()


def test_images_that_cannot_be_read_are_left_out_on_request_and_listed(pictured):
    (pictured / "mine.yaml").write_text(yaml.safe_dump(FOLDER | {"unreadable": "skip"}))
    files(pictured, "train/a/broken.png")
    assert [image.path for image in manifest(pictured).images if "broken" in image.path] == []
    ((left_out,),) = [json.loads((pictured / "out.json").read_text())["unreadable"]]
    assert left_out["path"] == "train/a/broken.png" and "an empty file" in left_out["reason"]


def test_identical_pictures_across_parts_or_classes_are_reported(pictured):
    halves().save(pictured / "train/a/again.bmp")  # another file of the same pixels
    Picture.new("RGB", (4, 4), "red").save(pictured / "train/a/red.png")
    manifest(pictured)
    report = json.loads((pictured / "out.json").read_text())
    (group,) = report["identical"]
    assert [image["path"] for image in group] == [
        "train/a/0.png",
        "train/a/again.bmp",
        "train/b/0.png",
        "test/a/1.png",
        "test/b/1.png",
    ]
    shutil.rmtree(pictured / "test/b")
    manifest(pictured)
    assert json.loads((pictured / "out.json").read_text())["without_test_images"] == ["b"]


def test_small_classes_are_drawn_with_replacement_on_request(photos):
    files(photos, "train/odd/1.jpg", "test/odd/1.jpg")
    facts = FOLDER | {"repeat": True}
    found = survey(photos, facts, photos / "none.csv", 4)
    assert not found.problems
    (notice,) = found.notices
    assert "drawn with replacement for 4 shots: Blue (3), odd (1), red fox (3)" in notice
    shutil.rmtree(photos / "train/odd")
    (problem,) = survey(photos, facts, photos / "none.csv", 4).problems
    assert "odd (0)" in problem


def test_classes_without_test_images_are_noticed(photos):
    shutil.rmtree(photos / "test/Blue")
    found = survey(photos, FOLDER, photos / "none.csv", 1)
    assert found.notices == ["classes without test images: Blue"] and not found.problems


SUITE = {
    "suite": "own",
    "results": "results/own",
    "seeds": [1],
    "backbones": ["mini-rn"],
    "datasets": ["mine"],
    "methods": {"craft": {"learner": "craft.learner.collaborative:Collaborative"}},
    "artefacts": {"few_shot_curves": {"shots": [1, 2]}},
}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "config/datasets").mkdir(parents=True)
    (tmp_path / "config/backbones").mkdir()
    os.symlink(
        os.path.abspath("config/backbones/mini-rn.yaml"), tmp_path / "config/backbones/mini-rn.yaml"
    )
    for part in ("train", "test"):
        files(tmp_path, *(f"photos/{part}/{name}/{n}.jpg" for name in "ab" for n in range(2)))
    return tmp_path


def test_a_shifted_test_set_is_held_against_its_source_before_any_work(project):
    describe(project)
    files(project, "shifted/a/1.jpg", "shifted/c/1.jpg")
    facts = FOLDER | {"name": "other", "root": "shifted", "source": "mine"}
    (project / "config/datasets/other.yaml").write_text(yaml.safe_dump(facts))
    suite = SUITE | {"shift": {"source": "mine", "targets": ["other"]}}
    with pytest.raises(ConfigError, match="classes that mine does not have: c"):
        load(suite, project)
    (project / "shifted/c").rename(project / "shifted/b")
    load(suite, project)


def test_a_suite_may_ask_for_more_shots_than_a_class_has(project):
    describe(project)
    suite = SUITE | {"artefacts": {"few_shot_curves": {"shots": [3]}}}
    with pytest.raises(ConfigError):
        load(suite, project)
    describe(project, repeat=True)
    load(suite, project)


def describe(project, **changes):
    facts = {key: value for key, value in (FOLDER | changes).items() if value is not None}
    (project / "config/datasets/mine.yaml").write_text(yaml.safe_dump(facts))


def test_four_lines_describe_a_data_set(project):
    describe(project)
    facts = load(SUITE, project)["facts"]["mine"]
    assert facts["root"] == "photos"
    assert facts["counts"] == {"classes": 2, "train": 4, "val": 0, "test": 4}
    describe(project, counts=facts["counts"] | {"test": 5})
    assert load(SUITE, project)["facts"]["mine"]["counts"]["test"] == 5  # checked by the manifest


def test_what_is_wrong_is_told_with_the_rest_of_the_configuration(project):
    describe(project)
    (project / "photos/train/b/1.jpg").unlink()
    with pytest.raises(ConfigError) as error:
        load(SUITE | {"datasets": ["mine", "yours"]}, project)
    assert {(problem.source, problem.path) for problem in error.value.problems} == {
        ("config/datasets/mine.yaml", "root"),
        ("config", "datasets"),
    }
    assert "classes with fewer training images than 2 shots: b (1)" in str(error.value)


def test_what_a_manifest_lists_is_not_looked_at_again(project):
    describe(project, root="gone")
    with pytest.raises(ConfigError, match="no such folder"):
        load(SUITE, project)
    path = project / "results/own/manifests/mine.csv"
    files(project, path)
    with pytest.raises(ConfigError, match="lists no image; delete it"):
        load(SUITE, project)
    rows = [Image(f"{n}.jpg", n % 3, "abc"[n % 3], "train") for n in range(7)]
    Manifest((*rows, Image("7.jpg", 1, "b", "test"))).write(path)
    counts = load(SUITE, project)["facts"]["mine"]["counts"]
    assert counts == {"classes": 3, "train": 7, "val": 0, "test": 1}
    Manifest((*rows[:-2], Image("7.jpg", 1, "b", "test"))).write(path)
    with pytest.raises(ConfigError, match=r"fewer training images than 2 shots: c \(1\)"):
        load(SUITE, project)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"root": None}, "root: expected text, got nothing"),
        ({"kind": "image_list"}, "list: expected text, got nothing"),
        ({"list": "x.csv"}, "keys of kind 'image_folder', got list"),
        ({"images": "x"}, "keys of kind 'image_folder', got images"),
        ({"shares": {"train": 0.5, "test": 0.6, "seed": 1}}, "parts that add up to 1, not 1.1"),
        ({"shares": {"train": 0.5, "test": 0.5}}, "shares.seed: expected int, got nothing"),
        ({"kind": "mini"}, "counts: expected a mapping, got nothing"),
        ({"unreadable": "drop"}, "refuse, skip"),
    ],
)
def test_descriptions_that_are_refused(project, changes, problem):
    describe(project, **changes)
    with pytest.raises(ConfigError, match=problem):
        load(SUITE, project)


def test_classes_whose_numbers_are_equal_have_one_order() -> None:
    """A set of names has no order of its own: it differs from process to process."""
    orders = {tuple(_in_order(names)) for names in itertools.permutations(["10", "1", "01", "001"])}
    assert orders == {("001", "01", "1", "10")}
