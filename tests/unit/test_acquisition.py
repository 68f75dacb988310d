from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from craft.data.fetch import file as download
from craft.data.fetch import tree as acquisition
from craft.data.fetch.sources import Policy
from craft.data.fetch.tree import FetchError, acquire
from craft.data.manifest import build
from craft.data.splits import draw
from craft.runtime.command import run_command
from craft.runtime.signals import ENDED
from tests.miniature.archives import (
    DESCRIPTIONS,
    NAMES,
    ROOT,
    WNIDS,
    Miniature,
    devkit,
    miniature,
    packed,
    photo,
    tarred,
    zipped,
)
from tests.miniature.site import Site, cut, page, serving, status

QUICK = Policy(attempts=2, wait=0.01, connect_timeout=2, read_timeout=1)
FETCHED = tuple(name for name in NAMES if name != "ImageNet")
SOURCES = [
    (name, number)
    for name in FETCHED
    for number in range(len(yaml.safe_load((DESCRIPTIONS / f"{name}.yaml").read_text())["sources"]))
]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with serving() as running:
        yield running


@pytest.fixture
def make(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Miniature]]:
    """Miniature data sets, served anew for each test."""
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    folder = tmp_path / "descriptions"
    folder.mkdir()

    def made(name: str, **changes: Any) -> Miniature:
        mini = miniature(name, folder, site.url)
        site.files.update(mini.files)
        if changes:
            mini.facts.update(changes)
            mini.description.write_text(yaml.safe_dump(mini.facts, sort_keys=False))
        return mini

    yield made
    site.files.clear()
    site.faults.clear()
    site.asked.clear()
    site.pause = 0.0


def lay(tree: dict[str, bytes], root: Path) -> None:
    for path, content in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def found(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def get(mini: Miniature, root: Path, **options: Any) -> dict[str, Any]:
    return acquire(mini.description, root, policy=QUICK, **options)


# --- every source of every data set --------------------------------------------------------------


def test_there_are_fifteen_data_sets() -> None:
    assert len(NAMES) == 15


@pytest.mark.parametrize(("name", "number"), SOURCES)
def test_each_source_alone_gives_the_tree_of_coop(
    make: Callable[..., Miniature], tmp_path: Path, name: str, number: int
) -> None:
    mini = make(name)
    mini = make(name, sources=[mini.facts["sources"][number]])
    root = tmp_path / "data" / mini.facts["folder"]
    origin = get(mini, root)
    assert origin["source"] != "present"
    tree = found(root)
    tree.pop(mini.facts.get("class_names", ""), None)
    listed = {mini.facts["split"]["file"]} if "split" in mini.facts else set()
    for image in build(root, mini.facts).images:
        listed.add((Path(mini.facts["images"]) / image.path).as_posix())
    assert {path: mini.tree[path] for path in tree} == tree
    assert listed <= set(tree)
    if mini.facts.get("only_listed"):
        assert set(tree) == listed < set(mini.tree)
    assert not any(path.endswith(".pkl") for path in tree)
    # Neither an archive nor a temporary folder is left behind.
    left = [path.name for path in root.parent.iterdir() if not path.name.endswith(".lock")]
    assert sorted(left) == sorted(["downloads", root.name])
    kept = [path.name for path in (root.parent / "downloads" / root.name).glob("[!.]*")]
    assert kept == ([mini.facts["split"]["file"]] if "split" in mini.facts else [])


@pytest.mark.parametrize("name", FETCHED)
def test_a_complete_tree_is_taken_as_it_is(
    make: Callable[..., Miniature], tmp_path: Path, site: Site, name: str
) -> None:
    mini = make(name)
    root = tmp_path / "data" / "mine"
    lay(mini.tree, root)
    if "class_names" in mini.facts:
        names = "".join(f"{wnid} {word}\n" for wnid, word in WNIDS.items())
        (root / mini.facts["class_names"]).write_text(names)
    before = found(root)
    assert get(mini, root)["source"] == "present"
    assert found(root) == before
    assert not site.asked
    assert os.listdir(root.parent) == ["mine"]


def test_classes_of_a_shifted_set_keep_their_labels_and_no_other_is_accepted(
    make: Callable[..., Miniature], tmp_path: Path
) -> None:
    mini = make("ImageNet-R")
    root = tmp_path / "data" / "r"
    get(mini, root)
    assert list(build(root, mini.facts).class_names()) == [0, 2]
    with pytest.raises(ValueError, match=r"not its classes of the source: \[1, 2\]"):
        build(root, {**mini.facts, "class_indices": [0, 1]})


def test_folders_named_by_number_are_read_as_numbers(
    make: Callable[..., Miniature], tmp_path: Path
) -> None:
    mini = make("ImageNetV2")
    root = tmp_path / "data" / "v2"
    get(mini, root)
    (root / mini.facts["images"] / "2").rename(root / mini.facts["images"] / "10")
    with pytest.raises(ValueError, match="'10' is not among the 3 classes"):
        build(root, mini.facts)


# --- when something is missing or wrong ----------------------------------------------------------


def test_the_next_source_is_asked_when_one_fails(
    make: Callable[..., Miniature], tmp_path: Path, site: Site
) -> None:
    mini = make("EuroSAT")
    paths = [path for path in mini.files if path.endswith(".zip")]
    site.faults[paths[0]] = [status(404)]
    site.faults[paths[1]] = [page("<html><title>Sign in</title></html>")] * 9
    site.files[paths[2]] = site.files[paths[2]][:-9] + b"altered.."
    root = tmp_path / "data" / "eurosat"
    assert "zhengli97" in get(mini, root)["source"]
    assert build(root, mini.facts)


def test_an_archive_of_something_else_is_not_the_tree(
    make: Callable[..., Miniature], tmp_path: Path, site: Site
) -> None:
    mini = make("DTD")
    official, mirror = (path for path in mini.files if not path.endswith(".json"))
    source = mini.facts["sources"][0]
    site.files[official] = content = tarred({"dtd/images/banded/1.jpg": photo(1)})
    for key in ("md5", "sha256", "bytes"):
        source[key] = None
    mini = make("DTD", sources=mini.facts["sources"])
    site.files[official] = content
    root = tmp_path / "data" / "dtd"
    assert mirror.split("/")[-1] in get(mini, root)["source"]
    site.files.pop(mirror)
    with pytest.raises(FetchError) as caught:
        get(mini, tmp_path / "data" / "again")
    assert "unpacked, but" in str(caught.value)
    assert not (tmp_path / "data" / "again").exists()
    # Nor is it there to be unpacked again.
    assert not list(tmp_path.rglob("*.tar.gz"))


def test_a_tree_may_be_a_link_to_where_the_data_lie(
    make: Callable[..., Miniature], tmp_path: Path
) -> None:
    mini = make("EuroSAT")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "eurosat").symlink_to(tmp_path / "disk" / "images")
    get(mini, tmp_path / "data" / "eurosat")
    assert (tmp_path / "data" / "eurosat").is_symlink()
    assert build(tmp_path / "disk" / "images", mini.facts)
    assert os.listdir(tmp_path / "disk") == ["images"]


def test_without_a_network_all_that_was_tried_is_named_within_seconds(
    make: Callable[..., Miniature], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = make("EuroSAT").facts
    addresses = []
    for number, source in enumerate([*facts["split"]["sources"], *facts["sources"]]):
        addresses.append(f"http://127.0.0.1:{number + 1}/file.zip")
        source.update(kind="http", url=addresses[-1])
    mini = make("EuroSAT", sources=facts["sources"], split=facts["split"])
    start = time.monotonic()
    with pytest.raises(FetchError) as caught:
        get(mini, tmp_path / "data" / "eurosat")
    assert time.monotonic() - start < 3
    assert all(
        f"{address}: 127.0.0.1 cannot be reached" in str(caught.value) for address in addresses
    )
    assert "config/mini.yaml" in str(caught.value)


def test_an_archive_brought_by_hand_needs_no_network_and_is_kept(
    make: Callable[..., Miniature], tmp_path: Path, site: Site
) -> None:
    mini = make("Flowers102")
    folder = tmp_path / "data" / "downloads" / "flowers"
    folder.mkdir(parents=True)
    for path, content in mini.files.items():
        (folder / Path(path).name).write_bytes(content)
    get(mini, tmp_path / "data" / "flowers")
    assert not site.asked
    assert (folder / "102flowers.tgz").exists()


def test_the_published_split_is_required(make: Callable[..., Miniature], tmp_path: Path) -> None:
    mini = make("UCF101")
    root = tmp_path / "data" / "ucf101"
    lay(mini.tree, root)
    split = root / mini.facts["split"]["file"]
    split.unlink()
    assert get(mini, root)["source"] == "present"  # it alone was fetched
    assert split.read_bytes() == mini.tree[split.name]
    split.write_text(json.dumps({"train": [], "val": [], "test": []}))
    with pytest.raises(FetchError, match="is not the published split"):
        get(mini, root)
    split.unlink()
    (root.parent / "downloads" / "ucf101" / split.name).unlink()
    without = make("UCF101", split={**mini.facts["split"], "sources": []})
    with pytest.raises(FetchError, match="is missing, and no other is ever drawn"):
        get(without, root)


def test_other_class_names_are_refused(make: Callable[..., Miniature], tmp_path: Path) -> None:
    mini = make("ImageNet-Sketch")
    root = tmp_path / "data" / "sketch"
    get(mini, root)
    names = root / mini.facts["class_names"]
    names.write_text(names.read_text().replace("great white shark", "white shark"))
    with pytest.raises(FetchError, match="n01484850 is 'white shark', but 'great white shark'"):
        get(mini, root)


def test_a_partial_tree_of_the_users_is_neither_touched_nor_fetched_for(
    make: Callable[..., Miniature], tmp_path: Path, site: Site
) -> None:
    mini = make("Food101")
    root = tmp_path / "data" / "food"
    lay(mini.tree, root)
    missing = next(path for path in mini.tree if path.endswith("0003.jpg"))
    (root / missing).unlink()
    before = found(root)
    with pytest.raises(FetchError, match=r"images is there, but 1 images not in .*0003\.jpg"):
        get(mini, root)
    assert found(root) == before
    assert not any(path.endswith(".gz") for path, _ in site.asked)


def test_a_folder_with_other_things_in_it_receives_the_tree(
    make: Callable[..., Miniature], tmp_path: Path
) -> None:
    mini = make("FGVCAircraft")
    root = tmp_path / "data" / "aircraft"
    lay({"notes.txt": b"mine"}, root)
    (root / "images").mkdir()
    get(mini, root)
    assert found(root)["notes.txt"] == b"mine"
    assert build(root, mini.facts)


def test_a_full_disk_stops_all_sources(
    make: Callable[..., Miniature], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini = make("OxfordPets")
    usage = download.shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: usage)
    sources = [{**source, "unpacked": 10**10} for source in mini.facts["sources"]]
    with pytest.raises(FetchError, match=r"needs 10\.00 GB .* 0\.00 GB are free"):
        get(make("OxfordPets", sources=sources), tmp_path / "data" / "pets")


def test_a_hostile_archive_leaves_nothing(
    make: Callable[..., Miniature], tmp_path: Path, site: Site
) -> None:
    facts = make("EuroSAT").facts
    source = facts["sources"][0] | {"bytes": None, "md5": None, "sha256": None}
    mini = make("EuroSAT", sources=[source])
    path = next(path for path in mini.files if path.endswith("EuroSAT_RGB.zip"))
    site.files[path] = zipped({"EuroSAT_RGB/a/1.jpg": b"", "EuroSAT_RGB/../../evil.jpg": b""})
    with pytest.raises(FetchError, match=r"EuroSAT_RGB/\.\./\.\./evil\.jpg climbs"):
        get(mini, tmp_path / "data" / "eurosat")
    assert not list(tmp_path.rglob("evil.jpg"))
    assert not (tmp_path / "data" / "eurosat").exists()


def test_a_disk_that_cannot_be_written_to_is_an_error_without_a_traceback(
    make: Callable[..., Miniature], tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    with pytest.raises(FetchError, match=r"DTD: .*exists"):
        get(make("DTD"), tmp_path / "data" / "dtd")


# --- processes -----------------------------------------------------------------------------------


def command(mini: Miniature, root: Path) -> list[str]:
    call = [sys.executable, "-m", "craft.data.fetch", "--dataset", str(mini.description)]
    return [*call, "--root", str(root), "--out", str(root.parent / "fetched.json")]


def test_a_fetch_that_is_killed_is_continued_and_two_make_one_tree(
    make: Callable[..., Miniature], tmp_path: Path, site: Site
) -> None:
    facts = make("OxfordPets").facts
    mini = make("OxfordPets", sources=facts["sources"][:1])
    path = next(path for path in mini.files if path.endswith("images.tar.gz"))
    root = tmp_path / "data" / "pets"
    site.faults[path] = [cut(500)]
    site.pause = 0.5
    first = subprocess.Popen(command(mini, root), cwd=ROOT, stderr=subprocess.DEVNULL)
    part = tmp_path / "data" / "downloads" / "pets" / "images.tar.gz.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.kill()
    first.wait()
    here = part.stat().st_size
    site.pause = 0.0
    both = [
        subprocess.Popen(command(mini, root), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    errors = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert site.ranges_asked(path)[-1] == f"bytes={here}-"
    assert len(site.ranges_asked(path)) == 2
    assert build(root, mini.facts)
    assert json.loads((root.parent / "fetched.json").read_text())["dataset"] == "OxfordPets"


def test_told_to_end_while_it_unpacks_it_keeps_the_download(
    make: Callable[..., Miniature],
    tmp_path: Path,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mini, root, unpack = make("EuroSAT"), tmp_path / "data/mine", acquisition.unpack

    def ended(*given: Any, **more: Any) -> None:
        unpack(*given, **more)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(acquisition, "unpack", ended)
    with pytest.raises(SystemExit) as end:
        run_command(lambda: get(mini, root))
    assert end.value.code == ENDED
    kept = tmp_path / "data/downloads/mine"
    assert capsys.readouterr().err == f"ended by SIGTERM; what came is kept in {kept}\n"
    left = {path.name for path in root.parent.iterdir()}
    assert left == {"downloads", ".mine.lock"}
    monkeypatch.setattr(acquisition, "unpack", unpack)
    asked = len(site.asked)
    get(mini, root)
    assert len(site.asked) == asked and root.is_dir()


def test_an_archive_that_is_deleted_while_it_is_unpacked_costs_nothing(
    make: Callable[..., Miniature], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mini, unpack = make("EuroSAT"), acquisition.unpack

    def gone(archive: Path, *given: Any, **more: Any) -> None:
        unpack(archive, *given, **more)
        archive.unlink()

    monkeypatch.setattr(acquisition, "unpack", gone)
    assert get(mini, tmp_path / "data/mine")["source"] != "present"


def test_the_command_fails_with_its_reasons_and_no_traceback(
    make: Callable[..., Miniature], tmp_path: Path
) -> None:
    mini = make("ImageNet")
    root = tmp_path / "data" / "imagenet"
    done = subprocess.run(command(mini, root), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(f"error: ImageNet: {root} lacks classnames.txt, images/train")
    assert f"Put into {root} either the three files" in done.stderr
    assert not (root.parent / "fetched.json").exists()


# --- ImageNet ------------------------------------------------------------------------------------


def users_imagenet(mini: Miniature, root: Path, flat: bool) -> list[str]:
    """Lay out a user's copy; returns the WordNet id of each validation image by number."""
    tree = {}
    classes: dict[int, str] = {}
    for path, content in mini.tree.items():
        parts = path.split("/")
        if parts[1] == "val":
            classes[int(parts[3].split("_")[2].split(".")[0])] = parts[2]
            path = f"images/val/{parts[3]}" if flat else path
        tree[path] = content
    lay(tree, root)
    return [classes[number] for number in sorted(classes)]


def test_imagenets_flat_validation_folder_is_sorted_by_the_devkit(
    make: Callable[..., Miniature], tmp_path: Path
) -> None:
    mini = make("ImageNet")
    root = tmp_path / "data" / "imagenet"
    classes = users_imagenet(mini, root, flat=True)
    with pytest.raises(FetchError, match=r"put ILSVRC2012_devkit_t12\.tar\.gz into"):
        get(mini, root)
    content = devkit(classes)
    (root / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(content)
    with pytest.raises(FetchError, match="md5 is"):
        get(mini, root)
    mini = make("ImageNet", sources=with_sums(mini, devkit=content))
    # A run that was cut half-way: some are sorted already.
    image = next((root / "images/val").glob("*.JPEG"))
    number = int(image.stem.split("_")[2])
    (root / "images/val" / classes[number - 1]).mkdir()
    image.rename(root / "images/val" / classes[number - 1] / image.name)
    assert get(mini, root)["source"] == "present"
    tree = found(root)
    assert {path: content for path, content in tree.items() if "/" in path} == mini.tree
    assert get(mini, root)["source"] == "present"
    images = build(root, mini.facts).part("train")
    assert [image.path for image in images] == sorted(image.path for image in images)
    assert len(draw([image.label for image in images], 2, 1)) == 6


def test_imagenets_archives_are_unpacked(make: Callable[..., Miniature], tmp_path: Path) -> None:
    mini = make("ImageNet")
    root = tmp_path / "data" / "imagenet"
    classes = users_imagenet(mini, tmp_path / "elsewhere", flat=True)
    train: dict[str, dict[str, bytes]] = {}
    validation = {}
    for path, content in mini.tree.items():
        _, part, wnid, name = path.split("/")
        if part == "train":
            train.setdefault(wnid, {})[name] = content
        else:
            validation[name] = content
    archives = {
        "train": tarred(
            {f"{wnid}.tar": packed("x.tar", m) for wnid, m in train.items()}, compress=False
        ),
        "validation": tarred(validation, compress=False),
        "devkit": devkit(classes),
    }
    sources = with_sums(mini, **archives)
    for kind, content in archives.items():
        lay({sources[0]["archives"][kind]["filename"]: content}, root)
    mini = make("ImageNet", sources=sources)
    get(mini, root)
    tree = found(root / "images")
    assert {f"images/{path}": content for path, content in tree.items()} == mini.tree


def with_sums(mini: Miniature, **archives: bytes) -> list[dict[str, Any]]:
    """ImageNet's sources with the md5 of these archives."""
    source = mini.facts["sources"][0]
    for kind, content in archives.items():
        source["archives"][kind]["md5"] = hashlib.md5(content).hexdigest()
    return [source]
