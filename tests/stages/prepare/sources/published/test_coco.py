"""The source `coco`: what becomes of captions, instances and categories, and how wrong sets are told of."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stages.prepare.sets.coco import BARE, SIZES, image_id, write_coco
from tests.stages.prepare.sets.little import CAPTIONS, CATEGORIES, INSTANCES, PICTURES, write_little
from tests.stages.prepare.sets.preparing import prepare, refusal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "set"


def test_a_set_of_two_subsets_as_published(folder: Path) -> None:
    write_coco(folder)
    manifest, summary = prepare("coco", folder)
    assert manifest.info.classes == ("person", "car", "cat", "dog")
    assert manifest.info.super_classes == {"person": "person", "car": "vehicle", "cat": "animal", "dog": "animal"}
    assert manifest.info.task == "multilabel"
    bare = {image_id(BARE["train2014"]), image_id(SIZES["train2014"] + BARE["val2014"])}
    assert manifest.ids() == [str(image_id(number)) for number in range(52) if image_id(number) not in bare]
    assert manifest.images()[0] == "train2014/COCO_train2014_000000000009.jpg"
    assert manifest.texts("caption")[0] == "There is a person on the grass, view 0."
    assert manifest.meta("subset") == ["train2014"] * 35 + ["val2014"] * 15
    assert summary.skipped == {"no instance": 2}
    assert summary.rejected == {}
    assert summary.notes == ()
    assert manifest.parts() == [None] * 50


def test_classes_are_the_categories_in_the_order_of_their_ids(folder: Path) -> None:
    manifest, _ = prepare("coco", write_little(folder))
    assert manifest.info.classes == ("car", "cat", "kite")
    assert manifest.ids() == ["42", "7"]
    assert manifest.label_matrix().tolist() == [[True, False, True], [False, True, False]]  # the crowd of cars counts
    assert manifest.meta("category_ids") == ["3|90", "17"]
    assert manifest.meta("categories") == ["car|kite", "cat"]
    assert manifest.meta("super_categories") == ["vehicle|outdoor", "animal"]
    assert manifest.images() == ["tiny/000000000042.jpg", "tiny/000000000007.jpg"]


@pytest.mark.parametrize(
    ("policy", "ids", "captions", "groups"),
    [
        ("first", ["42", "7", "100"], ["First.", "Of seven.", None], ["42", "7", "100"]),
        ("join", ["42", "7", "100"], ["First. Second.", "Of seven.", None], ["42", "7", "100"]),
        (
            "all",
            ["42#0", "42#1", "7#0", "100"],
            ["First.", "Second.", "Of seven.", None],
            ["42", "42", "7", "100"],
        ),
    ],
)
def test_captions_by_policy_and_unlabelled_pictures_on_request(
    folder: Path, policy: str, ids: list[str], captions: list[str | None], groups: list[str]
) -> None:
    asked = {"caption_policy": policy, "keep_unlabelled": True}
    manifest, summary = prepare("coco", write_little(folder), coco=asked)
    assert manifest.ids() == ids
    assert manifest.texts("caption") == captions
    assert manifest.groups() == groups
    assert manifest.meta("image_id") == groups
    assert manifest.labelled().tolist()[-2:] == [True, False]
    assert summary.skipped == {}
    assert summary.unlabelled == 1


def test_pictures_without_instances_are_negatives_on_request(folder: Path) -> None:
    manifest, summary = prepare("coco", write_little(folder), coco={"negatives": True})
    assert manifest.ids() == ["42", "7", "100"]
    assert manifest.labelled().tolist() == [True, True, True]
    assert manifest.label_matrix().tolist() == [[True, False, True], [False, True, False], [False, False, False]]
    assert (summary.skipped, summary.unlabelled) == ({}, 0)
    with pytest.raises(ValueError, match="expected keep_unlabelled or negatives, found both"):
        prepare("coco", folder, coco={"negatives": True, "keep_unlabelled": True})


def test_nothing_is_known_of_pictures_of_a_subset_without_any_instance(folder: Path) -> None:
    write_little(folder)
    pictures = [{**picture, "id": 200 + picture["id"]} for picture in PICTURES]
    write_little(folder, pictures, [], [], subset="captioned")
    manifest, summary = prepare("coco", folder, coco={"negatives": True})
    assert manifest.ids() == ["42", "7", "100"]
    assert summary.skipped == {"no instance": 3}


def test_ids_stay_as_they_are_and_match_however_they_are_spelled(folder: Path) -> None:
    pictures = [{"id": "0042", "file_name": "000000000042.jpg"}, {"id": "7", "file_name": "000000000007.jpg"}]
    instances = [{"image_id": "0042", "category_id": "3"}, {"image_id": 7, "category_id": 3.0}]
    manifest, _ = prepare("coco", write_little(folder, pictures, [], instances))
    assert manifest.ids() == ["0042", "7"]
    assert manifest.label_matrix()[:, 0].tolist() == [True, True]


def test_annotations_may_stand_before_images_and_categories(folder: Path) -> None:
    write_little(folder)
    for path in (folder / "annotations").iterdir():
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")), sort_keys=True), encoding="utf-8")
        assert path.read_text("utf-8").startswith('{"annotations"')
    manifest, _ = prepare("coco", folder)
    assert manifest.ids() == ["42", "7"]
    assert manifest.texts("caption") == ["First.", "Of seven."]
    assert manifest.label_matrix().tolist() == [[True, False, True], [False, True, False]]


def test_entries_that_belong_nowhere_are_rejected_each_with_its_place(folder: Path) -> None:
    captions = [
        *CAPTIONS,
        {"id": 1, "image_id": 5, "caption": "Of nobody."},
        {"id": 2, "image_id": 5, "caption": "Nor this."},
        {"id": 3, "image_id": 7, "caption": 12},
        {"id": 4, "image_id": 7, "caption": "half \ud800 of a pair"},
        {"id": 5, "caption": "of no picture"},
        {"id": 6, "image_id": 7, "caption": "  "},
        "no object",
        {"id": 7, "image_id": 7, "text": "neither"},
    ]
    instances = [*INSTANCES, {"id": 9, "image_id": 7, "category_id": None}]
    pictures = [*PICTURES, {"file_name": "x.jpg"}, {"id": 55, "file_name": None}]
    manifest, summary = prepare("coco", write_little(folder, pictures, captions, instances), max_reject_share=1)
    assert manifest.ids() == ["42", "7"]
    assert manifest.texts("caption") == ["First.", "Of seven."]
    assert summary.rejected == {"bad-record": 9, "bad-text": 1}
    rejects = (folder.parent / "out" / "prepare" / "rejects.csv").read_text("utf-8")
    for told in (
        "5,captions_tiny.json:annotations[3],bad-record,2 annotations of a picture that `images` does not list",
        "7,captions_tiny.json:annotations[5],bad-record,\"caption: expected text, found int '12'\"",
        "7,captions_tiny.json:annotations[6],bad-text",
        ",captions_tiny.json:annotations[7],bad-record,expected an annotation with an image_id",
        ",captions_tiny.json:annotations[9],bad-record,expected an annotation with an image_id",
        "7,captions_tiny.json:annotations[10],bad-record,expected a caption or a category_id",
        '7,instances_tiny.json:annotations[4],bad-record,"expected an id in category_id',
        ",captions_tiny.json:images[3],bad-record,expected a picture with an id",
        ",instances_tiny.json:images[3],bad-record,expected a picture with an id",
        '55,captions_tiny.json:images[4],bad-record,"expected text in file_name, found None"',
    ):
        assert f"\n{told}" in rejects


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "../../secret.jpg", "a\0b.jpg", "C:\\x.jpg"])
def test_a_picture_outside_the_folder_is_never_opened(folder: Path, name: str) -> None:
    (folder.parent / "secret.jpg").write_bytes(b"not to be read")
    pictures = [PICTURES[0], {"id": 7, "file_name": name}]
    manifest, summary = prepare("coco", write_little(folder, pictures, [], INSTANCES), max_reject_share=0.5)
    assert manifest.ids() == ["42"]
    assert summary.rejected == {"unsafe-path": 1}


def test_a_limit_counts_no_skipped_picture(folder: Path) -> None:
    pictures = [PICTURES[2], *PICTURES[:2]]
    manifest, summary = prepare("coco", write_little(folder, pictures), limit=1)
    assert manifest.ids() == ["42"]
    assert summary.skipped == {"no instance": 1}


def test_parts_may_be_declared_for_all_subsets(folder: Path) -> None:
    write_little(folder, subset="a")
    write_little(folder, [{**picture, "id": f"b{picture['id']}"} for picture in PICTURES], None, [], subset="b")
    asked = {"parts": {"a": "train", "b": "test"}, "keep_unlabelled": True}
    manifest, _ = prepare("coco", folder, coco=asked)
    assert manifest.parts() == ["train"] * 3 + ["test"] * 3
    assert "expected a part for each of the subsets a, b" in refusal("coco", folder, coco={"parts": {"a": "train"}})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"pictures": [*PICTURES, {"id": 42, "file_name": "other.jpg"}]},
            ["captions_tiny.json:images[3]", "the id 42 again", "captions_tiny.json:images[0]"],
        ),
        (
            {"instances": [*INSTANCES, {"image_id": 7, "category_id": 4}]},
            ["instances_tiny.json:annotations[4]", "found 4, which it does not hold"],
        ),
        (
            {"categories": [*CATEGORIES, {"id": 4, "name": "car"}]},
            ["instances_tiny.json:categories[3]", "'car' again", "categories[1]", "rename"],
        ),
        (
            {"categories": [*CATEGORIES, {"id": 3, "name": "lorry"}]},
            ["categories[3]", "'lorry' beside 'car'", "categories[1]"],
        ),
        ({"categories": [{"id": 3}]}, ["categories[0]", "an id and a name"]),
        ({"pictures": []}, ["captions_tiny.json", "a list `images`", "found none"]),
        ({"pictures": {"id": 42}}, ["a list `images`"]),
    ],
)
def test_sets_that_contradict_themselves_are_refused(folder: Path, changes: dict[str, Any], told: list[str]) -> None:
    message = refusal("coco", write_little(folder, **changes))
    for part in told:
        assert part in message
    assert not (folder.parent / "out" / "prepare").exists()


def test_one_id_in_two_subsets_is_refused(folder: Path) -> None:
    write_little(folder, subset="a")
    write_little(folder, subset="b")
    message = refusal("coco", folder)
    for part in ("captions_b.json:images[0]", "found 42", "captions_a.json:images[0]", "prepare.coco.subsets"):
        assert part in message
    assert prepare("coco", folder, coco={"subsets": ["b"]})[0].images()[0] == "b/000000000042.jpg"


def test_files_of_a_subset_that_disagree_are_refused(folder: Path) -> None:
    write_little(folder, captions=None)
    write_little(folder, [{**PICTURES[0], "file_name": "0.jpg"}], instances=None)
    message = refusal("coco", folder)
    assert "instances_tiny.json:images[0]: expected one picture per id, found the id 42 again" in message


def test_a_caption_id_never_takes_the_id_of_a_picture(folder: Path) -> None:
    pictures = [PICTURES[0], {"id": "42#1", "file_name": "000000000007.jpg"}]
    captions = [caption for caption in CAPTIONS if caption["image_id"] == 42]
    asked = {"caption_policy": "all", "keep_unlabelled": True}
    write_little(folder, pictures, captions, INSTANCES[:3])
    manifest, summary = prepare("coco", folder, coco=asked, max_reject_share=0.5)
    assert manifest.ids() == ["42#0", "42#1"]
    assert manifest.groups() == ["42", "42#1"]
    assert summary.rejected == {"bad-record": 1}
