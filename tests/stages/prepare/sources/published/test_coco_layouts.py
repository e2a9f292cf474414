"""Folders in the layout of COCO that somebody laid out anew: what is clear is read, and what was assumed is told."""

import json
from pathlib import Path

import pytest

from tests.stages.prepare.sets.little import CAPTIONS, CATEGORIES, INSTANCES, PICTURES, paint_little, write_little
from tests.stages.prepare.sets.preparing import prepare, refusal

BOTH = {"images": PICTURES, "annotations": [*CAPTIONS, *INSTANCES], "categories": CATEGORIES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "set"


def put(path: Path, content: object = BOTH) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "pictures", "image", "notes"),
    [
        ("annotations/instances_mine.json", "images", "images/", ["pictures of mine: found in images/"]),
        ("annotations/instances_mine.json", "images/mine", "images/mine/", ["found in images/mine/"]),
        ("annotations/instances_mine.json", "annotations", "annotations/", ["found in annotations/"]),
        ("annotations/instances_mine.json", ".", "", ["found in the folder itself"]),
        ("instances_mine.json", "mine", "mine/", ["stand in the folder itself, not in annotations/"]),
        ("train/_annotations.coco.json", "train", "train/", ["each _annotations.coco.json is a subset"]),
        ("annotations/mine.json", "mine", "mine/", ["each JSON file in annotations/ is a subset"]),
        ("labels.json", "data", "data/", ["each JSON file in the folder is a subset", "found in data/"]),
        ("labels.json", ".", "", ["each JSON file in the folder", "found in the folder itself"]),
    ],
)
def test_files_and_pictures_are_found(folder: Path, file: str, pictures: str, image: str, notes: list[str]) -> None:
    put(folder / file)
    paint_little(folder / pictures)
    manifest, summary = prepare("coco", folder)
    assert manifest.ids() == ["42", "7"]
    assert manifest.texts("caption") == ["First.", "Of seven."]
    assert manifest.images() == [f"{image}000000000042.jpg", f"{image}000000000007.jpg"]
    assert len(summary.notes) == len(notes)
    for told, note in zip(summary.notes, notes, strict=True):
        assert note in told


def test_published_names_hide_other_json_files(folder: Path) -> None:
    write_little(folder)
    put(folder / "annotations" / "person_keypoints_tiny.json", {"images": []})
    put(folder / "other.json", {})
    assert prepare("coco", folder)[1].notes == ()


def test_names_without_a_subset_belong_together(folder: Path) -> None:
    write_little(folder)
    for kind in ("captions", "instances"):
        (folder / "annotations" / f"{kind}_tiny.json").rename(folder / "annotations" / f"{kind}.json")
    (folder / "tiny").rename(folder / "images")
    manifest, _ = prepare("coco", folder)
    assert manifest.texts("caption") == ["First.", "Of seven."]
    assert manifest.meta("subset") == ["all", "all"]


def test_names_may_lead_from_the_root(folder: Path) -> None:
    pictures = [{**picture, "file_name": f"tiny/{picture['file_name']}"} for picture in PICTURES]
    manifest, _ = prepare("coco", write_little(folder, pictures))
    assert manifest.images()[0] == "tiny/000000000042.jpg"


def test_the_watched_path_may_be_the_annotations_alone(folder: Path) -> None:
    write_little(folder)
    manifest, _ = prepare("coco", folder / "annotations", root=str(folder))
    assert manifest.info.root == str(folder)
    message = refusal("coco", folder / "annotations")
    assert "expected the pictures of tiny below" in message
    assert "mend prepare.root" in message


def test_captions_alone_leave_everything_unlabelled(folder: Path) -> None:
    manifest, summary = prepare("coco", write_little(folder, instances=None))
    assert manifest.ids() == ["42", "7", "100"]
    assert manifest.info.classes == ()
    assert summary.unlabelled == 3
    assert "all pictures are kept unlabelled" in summary.notes[0]


def test_instances_alone_leave_no_text_field(folder: Path) -> None:
    manifest, summary = prepare("coco", write_little(folder, captions=None))
    assert manifest.info.fields == ()
    assert summary.missing == {"image": 0}
    assert summary.notes == ("no captions: there is no text field",)


def test_a_subset_without_instances_or_captions_is_told_of(folder: Path) -> None:
    others = [{**picture, "id": f"b{picture['id']}"} for picture in PICTURES]
    write_little(folder, others, None, [{**INSTANCES[0], "image_id": "b42"}], subset="a")
    write_little(folder, instances=None, subset="b")
    manifest, summary = prepare("coco", folder)
    assert manifest.ids() == ["b42"]
    assert summary.skipped == {"no instance": 5}
    assert summary.notes == ("no picture of a has a caption", "no picture of b has an instance")


def test_subsets_are_read_in_the_order_asked_for(folder: Path) -> None:
    write_little(folder, subset="a")
    write_little(folder, [{**PICTURES[0], "id": "z"}], None, [{**INSTANCES[0], "image_id": "z"}], subset="b")
    assert prepare("coco", folder, coco={"subsets": ["b", "a"]})[0].ids() == ["z", "42", "7"]
    assert "found a, b; mend prepare.coco.subsets" in refusal("coco", folder, coco={"subsets": ["val2014"]})


def test_folders_without_anything(folder: Path) -> None:
    assert "expected the folder of a data set" in refusal("coco", folder)
    folder.mkdir()
    assert "found no JSON file there; mend prepare.path" in refusal("coco", folder)


def test_pictures_that_are_nowhere(folder: Path) -> None:
    put(folder / "annotations" / "instances_mine.json")
    message = refusal("coco", folder)
    assert "(mine/, images/mine/, images/, data/, annotations/, the folder itself)" in message
    assert "none of 3 such as '000000000042.jpg'" in message


def test_a_file_cut_short_names_its_last_entry(folder: Path) -> None:
    path = write_little(folder) / "annotations" / "instances_tiny.json"
    path.write_text(path.read_text("utf-8")[:300], encoding="utf-8")
    message = refusal("coco", folder)
    assert message.startswith("instances_tiny.json:annotations[")
    assert "fetch or export the file again" in message
