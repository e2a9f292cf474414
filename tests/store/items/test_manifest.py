"""The manifest as every stage reads it, and the paths that data may name."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from store.errors import InputError
from store.files.reading import read_regular_file, resolve_below, trust_roots
from store.items.keys import image_key, text_key
from store.items.manifest import Manifest
from store.items.records import Item, ManifestInfo, ManifestRow, write_manifest
from store.items.split import read_split, write_split

INFO = ManifestInfo(
    source="table",
    root="pictures",
    task="multilabel",
    classes=("cat", "dog"),
    super_classes={"cat": "pet"},
    fields=("title", "caption"),
    meta=("note", "note.more"),
)


def item(number: int, **changes: object) -> Item:
    made = Item(
        id=f"{number:04d}",
        image=f"{number}.jpg" if number % 2 else None,
        texts={"title": f"title {number}", "caption": None if number % 3 == 0 else "the same"},
        labels=None if number % 5 == 0 else (("dog",) if number % 2 else ("dog", "cat")),
        target=None,
        group=str(number // 2),
        part="test" if number == 1 else None,
        meta={"note": "n", "note.more": None},
        where=f"posts.csv:{number}",
    )
    return replace(made, **changes)


def rows(count: int) -> Iterator[tuple[Item, bytes | None]]:
    for number in range(count):
        yield item(number), image_key(str(number).encode()) if number % 2 else None


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    path = tmp_path / "manifest.parquet"
    assert write_manifest(path, INFO, rows(10_000)) == 10_000  # several row groups
    return Manifest.open(path)


def test_what_is_written_is_read(manifest: Manifest) -> None:
    assert manifest.info == INFO
    assert len(manifest) == 10_000
    assert manifest.ids()[:3] == ["0000", "0001", "0002"]
    assert manifest.groups()[:3] == ["0", "0", "1"]
    assert manifest.parts()[:3] == [None, "test", None]
    assert manifest.images()[:3] == [None, "1.jpg", None]
    assert manifest.images(np.array([3, 1])) == ["3.jpg", "1.jpg"]
    assert manifest.texts("caption", np.array([4, 3, 9998])) == ["the same", None, "the same"]
    assert manifest.meta("note")[0] == "n"
    assert manifest.meta("note.more")[0] is None


def test_labels_are_read_in_the_declared_order(manifest: Manifest) -> None:
    matrix = manifest.label_matrix()
    assert matrix.dtype == np.bool_
    assert matrix[:4].tolist() == [[False, False], [False, True], [True, True], [False, True]]
    assert manifest.labelled().tolist()[:6] == [False, True, True, True, True, False]
    assert np.isnan(manifest.targets()).all()
    with pytest.raises(InputError, match="multilabel"):
        manifest.class_index()


def test_one_class_per_item(tmp_path: Path) -> None:
    info = replace(INFO, task="multiclass")
    given = [(item(n, labels=labels), None) for n, labels in enumerate([("dog",), None, ("cat",)])]
    write_manifest(tmp_path / "m.parquet", info, given)
    assert Manifest.open(tmp_path / "m.parquet").class_index().tolist() == [1, -1, 0]


def test_targets(tmp_path: Path) -> None:
    info = replace(INFO, task="regression", classes=())
    write_manifest(
        tmp_path / "m.parquet", info, [(item(n, labels=None, target=t), None) for n, t in enumerate([2.5, None])]
    )
    manifest = Manifest.open(tmp_path / "m.parquet")
    assert manifest.targets()[0] == 2.5
    assert manifest.labelled().tolist() == [True, False]
    assert manifest.label_matrix().shape == (2, 0)


def test_hashes_of_pictures_are_whole_or_missing(tmp_path: Path, manifest: Manifest) -> None:
    hashes = [2**64 - 1, None, 0, 2**63 + 1]
    given = [ManifestRow(item(n), None, each) for n, each in enumerate(hashes)]
    write_manifest(tmp_path / "m.parquet", INFO, [*given, (item(9), None)])
    read, known = Manifest.open(tmp_path / "m.parquet").dhashes()
    assert read.dtype == np.uint64
    assert read.tolist() == [2**64 - 1, 0, 0, 2**63 + 1, 0]
    assert known.tolist() == [True, False, True, True, False]
    assert not manifest.dhashes()[1].any()


def test_keys_are_those_of_the_content(manifest: Manifest) -> None:
    keys, present = manifest.keys("image")
    assert keys.shape == (10_000, 32)
    assert keys.dtype == np.uint8
    assert keys[9_999].tobytes() == image_key(b"9999")
    assert not keys[~present].any()
    assert present.tolist()[:2] == [False, True]
    captions, there = manifest.keys("caption")
    assert captions[1].tobytes() == text_key("the same")
    assert there.tolist()[:4] == [False, True, True, False]


def test_an_unknown_field_is_named_with_those_that_exist(manifest: Manifest) -> None:
    with pytest.raises(InputError, match="'captoin'; those that exist: image, title, caption"):
        manifest.keys("captoin")
    with pytest.raises(InputError, match="those that exist: title, caption"):
        manifest.texts("image")
    with pytest.raises(InputError, match=r"note, note\.more"):
        manifest.meta("nota")


def test_the_digest_of_a_field_depends_on_ids_and_that_field_alone(tmp_path: Path) -> None:
    def digest(name: str, *changed: Item) -> str:
        write_manifest(tmp_path / "m.parquet", INFO, [(each, None) for each in changed])
        return Manifest.open(tmp_path / "m.parquet").content_digest(name)

    first = digest("title", item(1), item(2))
    assert len(first) == len(hashlib.sha256().hexdigest())
    assert digest("title", item(1, labels=None, texts={"title": "title 1"}), item(2, part="dev")) == first
    assert digest("title", item(2), item(1)) != first
    assert digest("title", item(1, id="x"), item(2)) != first
    assert digest("title", item(1, texts={"title": "other"}), item(2)) != first
    assert digest("title", item(1, texts={"title": None}), item(2)) != first


def test_the_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_manifest(tmp_path / name, INFO, rows(5_000))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_label_beyond_the_classes_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"posts\.csv:7.*'cow'"):
        write_manifest(tmp_path / "m.parquet", INFO, [(item(1), None), (item(7, labels=("cow",)), None)])
    assert not list(tmp_path.iterdir())


def test_what_is_no_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no file; run `diptych prepare`"):
        Manifest.open(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("no Parquet at all")
    with pytest.raises(InputError, match="found no Parquet"):
        Manifest.open(tmp_path / "text.parquet")
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match="version 2"):
        Manifest.open(tmp_path / "other.parquet")
    write_manifest(tmp_path / "old.parquet", replace(INFO, format_version=1), [])
    with pytest.raises(InputError, match="run `diptych prepare` again"):
        Manifest.open(tmp_path / "old.parquet")


def test_an_empty_manifest_can_be_read(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.parquet", INFO, [])
    manifest = Manifest.open(tmp_path / "m.parquet")
    assert len(manifest) == 0
    assert manifest.keys("image")[0].shape == (0, 32)
    assert manifest.label_matrix().shape == (0, 2)


@pytest.mark.parametrize(
    "relative",
    [
        "../secret.txt",
        "inside/../../secret.txt",
        "/etc/passwd",
        "~/secret",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "C:/secret",
        "a\0b",
        "..\\secret",
        "\\\\server\\share",
        "",
        ".",
        "\ud800.jpg",
    ],
)
def test_a_path_that_leaves_the_root_is_refused(tmp_path: Path, relative: str) -> None:
    (tmp_path / "root" / "inside").mkdir(parents=True)
    with pytest.raises(InputError, match="expected a path below"):
        read_regular_file(resolve_below(tmp_path / "root", relative))


def test_a_link_is_followed_only_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "real.jpg").write_bytes(b"real")
    (root / "out.jpg").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    (root / "in.jpg").symlink_to("real.jpg")
    (root / "loop").symlink_to("loop")
    for name in ("out.jpg", "folder/secret", "loop"):
        with pytest.raises(InputError, match="expected a path below"):
            resolve_below(root, name)
    assert read_regular_file(resolve_below(root, "in.jpg")) == b"real"
    assert resolve_below(root, "sub/../real.jpg") == (root / "real.jpg").resolve()


@pytest.fixture
def trusting() -> Iterator[Callable[..., None]]:
    yield trust_roots
    trust_roots(())


def test_a_link_may_lead_below_a_trusted_root(tmp_path: Path, trusting: Callable[..., None]) -> None:
    root, cache = tmp_path / "root", tmp_path / "cache" / "ab"
    root.mkdir()
    cache.mkdir(parents=True)
    (cache / "digest").write_bytes(b"picture")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "a.jpg").symlink_to(cache / "digest")
    (root / "folder").symlink_to(cache)
    (root / "out.jpg").symlink_to(tmp_path / "secret")
    (cache / "onward").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=rf'symbolic link leads to .*trusted_roots = \["{cache.parent}"\]'):
        resolve_below(root, "a.jpg")
    (tmp_path / "linked").symlink_to(cache.parent)  # the root itself may be named by a link
    trusting([tmp_path / "linked"])
    assert read_regular_file(resolve_below(root, "a.jpg")) == b"picture"
    assert read_regular_file(resolve_below(root, "folder/digest")) == b"picture"
    for name in ("out.jpg", "folder/onward", "../cache/ab/digest", "folder/../ab/digest", str(cache / "digest")):
        with pytest.raises(InputError, match="expected a path below"):
            resolve_below(root, name)
    trusting([tmp_path / "cach"])  # a name that begins alike is another folder
    with pytest.raises(InputError, match="trusted_roots"):
        resolve_below(root, "a.jpg")


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.jpg").symlink_to("/gone/a.jpg")
    with pytest.raises(InputError, match=r"leads to /gone/a\.jpg, where nothing is"):
        resolve_below(tmp_path / "root", "a.jpg")


def test_a_link_swapped_in_after_the_check_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    path = tmp_path / "picture.jpg"
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="expected a regular file"):
        read_regular_file(path)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "pipe", tmp_path / "socket", tmp_path, Path("/dev/null")):
            with pytest.raises(InputError, match="expected a regular file"):
                read_regular_file(path)
    with pytest.raises(FileNotFoundError):
        read_regular_file(tmp_path / "none")


def test_a_file_beyond_the_cap_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(11))
    assert len(read_regular_file(tmp_path / "big", max_bytes=11)) == 11
    with pytest.raises(InputError, match=r"at most 10 bytes in .*, found 11"):
        read_regular_file(tmp_path / "big", max_bytes=10)


def test_parts_are_aligned_to_the_ids_asked_for(tmp_path: Path) -> None:
    write_split(tmp_path / "split.parquet", ["a", "b", "c"], ["train", "dev", "test"], {"rows": 3})
    assert read_split(tmp_path / "split.parquet", ["c", "a"]).tolist() == ["test", "train"]
    assert b"rows" in pq.read_schema(tmp_path / "split.parquet").metadata[b"diptych"]
    with pytest.raises(InputError, match="'z'; run `diptych split` again"):
        read_split(tmp_path / "split.parquet", ["a", "z"])
    with pytest.raises(InputError, match="found no file; run `diptych split`"):
        read_split(tmp_path / "none.parquet", ["a"])
    (tmp_path / "text.parquet").write_text("no Parquet")
    with pytest.raises(InputError, match="found another file"):
        read_split(tmp_path / "text.parquet", ["a"])
