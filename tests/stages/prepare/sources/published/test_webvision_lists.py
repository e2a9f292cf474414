"""The lists of WebVision: classes and lines that are wrong are told with their place, before a row is kept."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from stages.prepare.sections import WebvisionParams
from stages.prepare.sources.mistakes import Mistakes
from stages.prepare.sources.published.webvision.layout import Layout, find_layout
from stages.prepare.sources.published.webvision.lists import read_rows, read_synsets, survey
from store.errors import InputError
from tests.stages.prepare.sets.webvision import CLASSES, ROWS, write_webvision


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sets")
    write_webvision(root / "original", "original", "1.0")
    write_webvision(root / "reorganised", "reorganised")
    return root


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    return lists_of(written / "original", tmp_path / "set")


@pytest.fixture
def reorganised(written: Path, tmp_path: Path) -> Path:
    return lists_of(written / "reorganised", tmp_path / "set")


def lists_of(written: Path, folder: Path) -> Path:
    """Copy the lists alone, since nothing else is looked at here."""
    for path in [*written.glob("info/*"), *written.glob("meta/*")]:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / path.parent.name)
    (folder / "val_images_256").mkdir()
    return folder


def layout_of(folder: Path, **params: Any) -> Layout:
    return find_layout(folder, WebvisionParams(**params))


def mistakes(folder: Path, **params: Any) -> str:
    layout = layout_of(folder, **params)
    with pytest.raises(InputError) as caught:
        survey(layout, read_synsets(layout), 3)
    return str(caught.value)


def edit(path: Path, number: int, line: str | None) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1 : number] = [] if line is None else [line]
    path.write_text("".join(f"{each}\n" for each in lines))


def add(path: Path, *lines: str) -> None:
    path.write_text(path.read_text() + "".join(f"{line}\n" for line in lines))


def test_synsets_of_one_name_are_told_apart_and_the_order_is_that_of_the_labels(reorganised: Path) -> None:
    layout = layout_of(reorganised)
    assert tuple(synset.name for synset in read_synsets(layout)) == CLASSES
    edit(reorganised / "meta" / "synsets.txt", 1, None)
    add(reorganised / "meta" / "synsets.txt", "n01440764", "n09999999")
    names = [synset.name for synset in read_synsets(layout)]
    assert names == ["crane (n02012849)", "crane (n03126707)", "tench", "n09999999"]


def test_a_synset_listed_twice(folder: Path) -> None:
    edit(folder / "info" / "synsets.txt", 2, "n01440764 tench")
    with pytest.raises(InputError, match=r"synsets\.txt:2: expected a WordNet id that stands nowhere else, found 'n01"):
        read_synsets(layout_of(folder))


def test_lists_of_each_origin_are_preferred_to_the_list_of_all(folder: Path) -> None:
    rows = list(read_rows(layout_of(folder), read_synsets(layout_of(folder)), Mistakes()))
    assert [row.origin for row in rows] == ["google"] * 55 + ["flickr"] * 55
    assert {row.entry.split("/")[0] for row in rows if row.entry} == {"google", "flickr"}
    (folder / "info" / "train_filelist_google.txt").unlink()
    mixed = list(read_rows(layout_of(folder), read_synsets(layout_of(folder)), Mistakes()))
    assert {row.image: row.origin for row in mixed} == {row.image: row.origin for row in rows}
    assert mixed != rows


def test_a_survey_counts_distinct_pictures_of_each_class(folder: Path) -> None:
    path = folder / "info" / "train_filelist_google.txt"
    first = path.read_text().splitlines()[0]
    (folder / "info" / "train_meta_list_google.txt").unlink()
    path.write_text(path.read_text() + f"{first}\n{first.replace('q0001', 'q0002')}\n")
    layout = layout_of(folder, official_val=True)
    found = survey(layout, read_synsets(layout), 3)
    assert (found.rows, found.listed) == (ROWS + 8, ROWS + 8)
    assert found.per_class.tolist() == [52, 50, 8]
    assert found.official.tolist() == [2, 2, 2]
    assert len(found.repeated) == 1
    assert survey(layout, read_synsets(layout), 1).listed == 52 + 2 + 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("google/q0001/a.jpg 3", "expected a class from 0 to 2, the lines of synsets.txt"),
        ("google/q0001/a.jpg -1", "expected a path and a class"),
        ("google/q0001/a.jpg", "expected a path and a class"),
        ("google/q0001/ 1", "expected a path and a class"),
        ("", "expected a path and a class"),
        ("google/q0001/a.jpg ²", "expected a path and a class"),
    ],
)
def test_a_wrong_line_is_told_with_its_number(folder: Path, line: str, told: str) -> None:
    edit(folder / "info" / "train_filelist_flickr.txt", 2, line)
    assert mistakes(folder) == f"train_filelist_flickr.txt:2: {told}, found {line!r}; mend the line"


def test_twenty_mistakes_are_told_at_once(folder: Path) -> None:
    (folder / "info" / "train_filelist_all.txt").write_text("nothing\n" * 30)
    (folder / "info" / "train_filelist_google.txt").unlink()
    (folder / "info" / "train_meta_list_all.txt").unlink()
    told = mistakes(folder)
    assert told.startswith("20 mistakes and perhaps more")
    assert "train_filelist_all.txt:20:" in told


def test_lists_that_are_not_aligned(folder: Path) -> None:
    edit(folder / "info" / "train_meta_list_flickr.txt", 55, None)
    expected = "train_meta_list_flickr.txt:55: expected as many lines as train_filelist_flickr.txt has, found the end"
    assert mistakes(folder).startswith(expected)


def test_classes_that_count_from_one_are_noticed_by_the_queries(folder: Path) -> None:
    add(folder / "info" / "synsets.txt", "n09999999 one more")
    for origin in ("google", "flickr"):
        path = folder / "info" / f"train_filelist_{origin}.txt"
        rows = [line.rsplit(" ", 1) for line in path.read_text().splitlines()]
        path.write_text("".join(f"{image} {int(label) + 1}\n" for image, label in rows))
    assert "expected classes that count from 0, found each one higher than queries_synsets_map.txt" in mistakes(folder)


def test_a_few_rows_in_the_folder_of_another_query_are_counted(folder: Path) -> None:
    path = folder / "info" / "train_filelist_flickr.txt"
    edit(path, 1, path.read_text().splitlines()[0].rsplit(" ", 1)[0] + " 2")
    layout = layout_of(folder)
    assert survey(layout, read_synsets(layout), 3).misplaced == 1


def test_a_folder_of_another_synset_is_a_mistake(reorganised: Path) -> None:
    edit(reorganised / "meta" / "train.txt", 7, "n01440764/a.jpg 1")
    assert mistakes(reorganised).startswith("train.txt:7: expected the folder n02012849 of class 1, found 'n01440764/a")


def test_a_line_without_end_is_not_read_whole(folder: Path) -> None:
    (folder / "info" / "train_filelist_google.txt").write_text("a" * 100_000)
    (folder / "info" / "train_meta_list_google.txt").unlink()
    assert "train_filelist_google.txt:1: expected lines of at most 65,536 bytes" in mistakes(folder)


def test_bytes_that_are_no_text(folder: Path) -> None:
    (folder / "info" / "synsets.txt").write_bytes(b"n01440764 tench\nn02012849 cr\xe4ne\n")
    with pytest.raises(InputError, match=r"synsets\.txt:2: expected UTF-8, found the byte 0xE4 at position 13"):
        read_synsets(layout_of(folder))


@pytest.mark.parametrize("layout", ["auto", "original", "reorganised"])
def test_a_folder_without_lists(tmp_path: Path, layout: str) -> None:
    with pytest.raises(InputError, match=r"expected (info/train_filelist|the list .*train_filelist_all)"):
        layout_of(tmp_path, layout=layout)
    with pytest.raises(InputError, match="expected the folder of WebVision"):
        layout_of(tmp_path / "nowhere", layout=layout)


def test_a_layout_that_is_asked_for_is_not_looked_for(tmp_path: Path) -> None:
    write_webvision(tmp_path / "set", "per_image")
    assert layout_of(tmp_path / "set").kind == "per_image"
    assert layout_of(tmp_path / "set", layout="reorganised").kind == "reorganised"
