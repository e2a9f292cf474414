"""The source `webvision`: three layouts give the same items, and every trap of the format is stepped around."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from stages.prepare.params import PrepareParams
from stages.prepare.sources.catalog import open_source
from stages.prepare.sources.protocol import Folders
from store.errors import InputError
from tests.stages.prepare.sets.preparing import prepare_into, rows_of
from tests.stages.prepare.sets.webvision import (
    CLASSES,
    OFFICIAL,
    ROWS,
    SYNSETS,
    Layout,
    Version,
    texts_of,
    training_rows,
    write_webvision,
)

LAYOUTS: list[tuple[Layout, Version]] = [
    ("original", "1.0"), ("original", "2.0"), ("reorganised", "2.0"), ("per_image", "2.0"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Layout, Version], Path]:
    folders = {each: tmp_path_factory.mktemp("-".join(each)) for each in LAYOUTS}
    for (layout, version), folder in folders.items():
        write_webvision(folder, layout, version)
    return folders


@pytest.mark.parametrize(("layout", "version"), LAYOUTS)
def test_every_layout_gives_each_picture_its_class_and_its_texts(
    sets: dict[Any, Path], tmp_path: Path, layout: Layout, version: Version
) -> None:
    manifest, summary = prepare_into("webvision", sets[layout, version], tmp_path / "out")
    found = rows_of(manifest)
    assert manifest.info.classes == CLASSES
    assert summary.notes[0].startswith(f"layout {layout}: {ROWS} rows listed, 3 synsets")
    assert len(found) == len(manifest) == ROWS
    for picture in training_rows():
        row = found[f"{picture.wnid}/{picture.id}"]
        assert (row["title"], row["description"]) == texts_of(picture)
        assert row["class"] == CLASSES[picture.label]
        assert row["group"] == picture.id
        assert row["part"] is None
        told = picture.known or layout == "original"
        assert row["source"] == (picture.origin if told else None)
        tagged = picture.origin == "flickr" and (picture.known or version == "1.0")
        assert row["tags"] == ("two words" if tagged else None)


def test_one_picture_under_two_synsets_is_an_item_of_each_in_one_group(sets: dict[Any, Path], tmp_path: Path) -> None:
    manifest, summary = prepare_into("webvision", sets["original", "2.0"], tmp_path / "out")
    (twice,) = [group for group, times in Counter(manifest.groups()).items() if times > 1]
    ids = [identity for identity in manifest.ids() if identity.endswith(f"/{twice}")]
    assert sorted(ids) == [f"n01440764/{twice}", f"n03126707/{twice}"]
    assert summary.duplicated["image"] == 1
    assert summary.groups == ROWS - 1


@pytest.mark.parametrize(("layout", "version"), [LAYOUTS[0], LAYOUTS[2]])
def test_a_picture_listed_twice_under_one_synset_counts_once(tmp_path: Path, layout: Layout, version: Version) -> None:
    folder = tmp_path / "set"
    write_webvision(folder, layout, version)
    lists = [folder / "info" / "train_filelist_google.txt", folder / "info" / "train_meta_list_google.txt"]
    for path in lists if layout == "original" else [folder / "meta" / "train.txt"]:
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines, lines[3], lines[3]]) + "\n")
    manifest, summary = prepare_into("webvision", folder, tmp_path / "out")
    assert len(manifest) == ROWS
    assert summary.skipped == {"listed twice under one synset": 2}
    assert summary.rejected == {}


@pytest.mark.parametrize(("layout", "version"), LAYOUTS)
def test_the_official_validation_list_is_declared_test(
    sets: dict[Any, Path], tmp_path: Path, layout: Layout, version: Version
) -> None:
    manifest, summary = prepare_into(
        "webvision", sets[layout, version], tmp_path / "out", webvision={"official_val": True}
    )
    found = rows_of(manifest)
    official = {identity: row for identity, row in found.items() if row["part"] == "test"}
    assert sorted(official) == [f"val/val{number:06d}" for number in range(1, 1 + OFFICIAL * len(SYNSETS))]
    folder = "val" if layout != "original" else "val_images_256" if version == "1.0" else "val_images_resized"
    assert official["val/val000002"]["image"] == f"{folder}/val000002.jpg"
    assert official["val/val000002"]["class"] == CLASSES[2]
    assert {(row["title"], row["description"], row["source"]) for row in official.values()} == {
        (None, None, "validation")
    }
    assert Counter(row["part"] for row in found.values()) == {"train": ROWS, "test": len(official)}
    assert "6 rows of the official validation list are declared test" in summary.notes


def test_the_official_pictures_must_be_there(tmp_path: Path) -> None:
    write_webvision(tmp_path / "set")
    (tmp_path / "set" / "val_images_resized").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="expected the official validation pictures in one of val_images_256"):
        prepare_into("webvision", tmp_path / "set", tmp_path / "out", webvision={"official_val": True})


@pytest.mark.parametrize(("layout", "version"), LAYOUTS)
def test_one_origin_alone(sets: dict[Any, Path], tmp_path: Path, layout: Layout, version: Version) -> None:
    manifest, summary = prepare_into(
        "webvision", sets[layout, version], tmp_path / "out", webvision={"origins": ["flickr"]}
    )
    pictures = [picture for picture in training_rows() if picture.origin == "flickr"]
    told = [picture for picture in pictures if picture.known or layout == "original"]
    assert sorted(manifest.ids()) == sorted(f"{picture.wnid}/{picture.id}" for picture in told)
    left = 0 if layout == "original" else ROWS - len(told)
    assert summary.skipped == ({"of another origin": left} if left else {})


def test_the_first_classes_and_the_first_rows_of_each(sets: dict[Any, Path], tmp_path: Path) -> None:
    limits = {"class_limit": 2, "per_class_limit": 5, "official_val": True}
    for each in LAYOUTS:
        manifest, summary = prepare_into("webvision", sets[each], tmp_path / "-".join(each), webvision=limits)
        assert manifest.info.classes == CLASSES[:2]
        assert summary.labels == {CLASSES[0]: 5 + OFFICIAL, CLASSES[1]: 5 + OFFICIAL}
        assert summary.skipped == {}
        assert "the first 2 synsets are the classes: 106 rows" in summary.notes
    expected = [f"n01440764/{picture.id}" for picture in training_rows()[:5]]
    assert manifest.ids()[:5] == expected


@pytest.mark.parametrize("each", LAYOUTS)
@pytest.mark.parametrize(
    ("params", "known"),
    [
        ({}, True),
        ({"webvision": {"official_val": True, "class_limit": 2, "per_class_limit": 51}}, True),
        ({"limit": 40}, True),
        ({"limit": 400}, True),
        ({"webvision": {"origins": ["google"]}}, False),
    ],
)
def test_as_many_rows_come_as_were_expected(
    sets: dict[Any, Path], tmp_path: Path, each: Any, params: dict[str, Any], known: bool
) -> None:
    asked = PrepareParams.model_validate({"source": "webvision", "path": str(sets[each]), **params})
    source = open_source(asked, Folders(tmp_path, tmp_path / "out"))
    yielded = len(list(source.items()))
    assert source.expected == (yielded if known else None)
    assert list(tmp_path.iterdir()) == []  # the index is gone once the rows have been read


def test_a_limit_of_rows(sets: dict[Any, Path], tmp_path: Path) -> None:
    manifest, summary = prepare_into("webvision", sets["reorganised", "2.0"], tmp_path / "out", limit=7)
    assert manifest.ids() == [f"n01440764/{picture.id}" for picture in training_rows()[:7]]
    assert summary.read == 7


def test_metadata_that_are_missing_leave_both_texts_missing_and_are_counted(
    sets: dict[Any, Path], tmp_path: Path
) -> None:
    for each in LAYOUTS[1:]:
        _, summary = prepare_into("webvision", sets[each], tmp_path / "-".join(each))
        unknown = [picture for picture in training_rows() if not picture.known]
        assert f"{len(unknown)} rows without metadata" in summary.notes
        silent = [picture for picture in training_rows() if texts_of(picture)[1] is None]
        assert summary.missing == {"image": 0, "title": len(unknown), "description": len(silent)}


def test_no_metadata_at_all_is_told(tmp_path: Path) -> None:
    write_webvision(tmp_path / "set", "reorganised")
    for path in (tmp_path / "set").glob("*/*.json"):
        path.unlink()
    _, summary = prepare_into("webvision", tmp_path / "set", tmp_path / "out")
    assert summary.missing["title"] == ROWS
    assert "no metadata: neither google nor flickr has JSON files" in summary.notes


def test_two_runs_give_equal_bytes_with_and_without_a_cache(sets: dict[Any, Path], tmp_path: Path) -> None:
    out, written = tmp_path / "out", []
    for cache in (None, None, tmp_path / "cache", tmp_path / "cache"):
        prepare_into("webvision", sets["reorganised", "2.0"], out, cache)
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert written[0] == written[1] == written[2] == written[3]


def test_a_path_that_leads_out_of_the_folder_is_rejected(tmp_path: Path) -> None:
    write_webvision(tmp_path / "set", "per_image")
    (tmp_path / "secret").write_text('{"id": "secret", "title": "not for us"}')
    listed = tmp_path / "set" / "meta" / "train.txt"
    listed.write_text(listed.read_text() + "n01440764/../../../secret.jpg 0\n")
    manifest, summary = prepare_into("webvision", tmp_path / "set", tmp_path / "out")
    assert summary.rejected == {"bad-record": 1}
    assert "not for us" not in manifest.texts("title")
    assert "which leads elsewhere" in (tmp_path / "out" / "rejects.csv").read_text()


def test_a_damaged_file_beside_a_picture_rejects_that_row(tmp_path: Path) -> None:
    write_webvision(tmp_path / "set", "per_image")
    picture = training_rows()[3]
    (tmp_path / "set" / "train" / picture.wnid / picture.id).write_text('{"title": ')
    _, summary = prepare_into("webvision", tmp_path / "set", tmp_path / "out")
    assert summary.rejected == {"bad-record": 1}
    told = (tmp_path / "out" / "rejects.csv").read_text()
    assert f'/{picture.id},train.txt:4,bad-record,"expected a JSON object in {tmp_path}' in told
