"""The source `visual_genome`: captions of the largest regions, classes by frequency, every spelling of its files."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.stages.prepare.sets.preparing import edit, prepare, refusal
from tests.stages.prepare.sets.visual_genome import BARE, SILENT, SIZE, image_id, write_visual_genome


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "set"


def thing(synset: str = "", name: str = "", **more: Any) -> dict[str, Any]:
    return {"synsets": [synset] if synset else [], "names": [name] if name else [], "x": 1, "y": 1, **more}


def region(phrase: Any, width: Any, height: Any = 10) -> dict[str, Any]:
    return {"region_id": 1, "x": 0, "y": 2, "width": width, "height": height, "phrase": phrase}


def write(folder: Path, objects: dict[Any, Any], regions: dict[Any, Any] | None = None, **names: str) -> Path:
    """Write a picture for each entry of `objects`, the odd ones in the second folder."""
    spelled = {"kind": "objects", "image": "image_id", **names}
    folder.mkdir()
    for number, identity in enumerate(objects):
        path = folder / ("VG_100K_2" if number % 2 else "VG_100K") / f"{identity}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), (20 * number, 0, 0)).save(path)
    files = {
        "image_data": [{spelled["image"]: identity, "width": 8, "coco_id": None} for identity in objects],
        spelled["kind"]: [{spelled["image"]: identity, spelled["kind"]: found} for identity, found in objects.items()],
        "region_descriptions": [
            {spelled["image"]: identity, "regions": found} for identity, found in (regions or {}).items()
        ],
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def rejects(folder: Path) -> str:
    return (folder.parent / "out" / "prepare" / "rejects.csv").read_text("utf-8")


def test_a_set_as_published(folder: Path) -> None:
    write_visual_genome(folder)
    manifest, summary = prepare("visual_genome", folder)
    assert manifest.ids() == [str(image_id(number)) for number in range(SIZE) if number != BARE]
    assert manifest.info.task == "multiclass"
    assert sorted(manifest.info.classes) == ["car.n.01", "dog.n.01", "man.n.01", "tree.n.01"]
    assert manifest.images()[:2] == ["VG_100K_2/61.jpg", "VG_100K/78.jpg"]
    assert manifest.texts("caption")[0] == (
        "the wet man of 0. the old man of 0. the small car of 0. the shiny man of 0. the dark man of 0"
    )
    assert manifest.texts("caption")[SILENT - 1] is None
    assert summary.skipped == {"no object of the classes": 1}
    assert summary.rejected == {}
    labels = [manifest.info.classes[position] for position in manifest.class_index()]
    assert labels[:4] == ["man.n.01", "tree.n.01", "car.n.01", "dog.n.01"]
    assert summary.notes[0].endswith("of all 52 chosen pictures, those of a later test part included")


def test_objects_or_attributes_give_the_same_rows(folder: Path) -> None:
    write_visual_genome(folder)
    manifest, summary = prepare("visual_genome", folder)
    first = (manifest.ids(), manifest.info.classes, manifest.class_index().tolist())
    assert "(objects.json)" in summary.notes[0]
    (folder / "objects.json").unlink()
    manifest, summary = prepare("visual_genome", folder)
    assert (manifest.ids(), manifest.info.classes, manifest.class_index().tolist()) == first
    assert "(attributes.json)" in summary.notes[0]


def test_the_caption_tells_of_the_largest_regions(folder: Path) -> None:
    regions = [
        region("small", 1),
        region(" a wide road. ", "20", "10.5"),
        region("equal to the next", 5),
        region("equal to the last", 5),
        region("  ", 90),
        region(None, 90),
    ]
    write(folder, {1: [thing("cat.n.01")]}, {1: regions})
    asked = {"phrases": 3}
    manifest, _ = prepare("visual_genome", folder, visual_genome=asked)
    assert manifest.texts("caption") == ["a wide road.. equal to the next. equal to the last"]
    assert json.loads(str(manifest.meta("boxes")[0])) == [[0, 2, 20, 10.5], [0, 2, 5, 10], [0, 2, 5, 10]]
    assert prepare("visual_genome", folder, visual_genome={"phrases": 9})[0].texts("caption") == [
        "a wide road.. equal to the next. equal to the last. small"
    ]


def test_the_class_is_the_most_frequent_of_the_frequent(folder: Path) -> None:
    cat, dog, sky = thing("cat.n.01"), thing("dog.n.01"), thing("sky.n.01")
    objects = {1: [dog, cat, cat], 2: [dog, cat], 3: [cat, dog, dog, sky, sky, sky], 4: [sky], 5: []}
    write(folder, objects)
    manifest, summary = prepare("visual_genome", folder, visual_genome={"classes": 2})
    assert manifest.info.classes == ("cat.n.01", "dog.n.01")  # each and the sky four times: names decide
    assert manifest.ids() == ["1", "2", "3"]
    assert manifest.class_index().tolist() == [0, 0, 1]  # one dog and one cat: the more frequent class
    assert summary.skipped == {"no object of the classes": 2}
    asked = {"classes": 2, "keep_unlabelled": True}
    manifest, summary = prepare("visual_genome", folder, visual_genome=asked)
    assert manifest.ids() == ["1", "2", "3", "4", "5"]
    assert summary.unlabelled == 2
    assert summary.skipped == {}


def test_names_stand_in_for_synsets(folder: Path) -> None:
    objects = {
        1: [thing("", " Lamp Post "), thing("", "lamp post"), thing("cat.n.01", "kitty")],
        2: [{"name": "lamp post"}, {"object_names": ["lamp post"]}, {"names": ["x"], "synsets": "cat.n.01"}],
        3: [{"synsets": [{"synset_name": "cat.n.01"}], "names": ["x"]}, {"synsets": [None, ""], "names": None}],
    }
    manifest, _ = prepare("visual_genome", write(folder, objects))
    assert manifest.info.classes == ("lamp post", "cat.n.01")
    assert manifest.class_index().tolist() == [0, 0, 1]


def test_an_object_counts_once(folder: Path) -> None:
    cat = thing("cat.n.01", object_id=7)
    dog = thing("dog.n.01", object_id=1, merged_object_ids=[2, "3"])
    merged = [thing("dog.n.01", object_id=number) for number in (2, 3)]
    objects = {1: [cat, cat, cat, thing("dog.n.01"), thing("dog.n.01")], 2: [dog, *merged, thing("cat.n.01"), cat]}
    manifest, _ = prepare("visual_genome", write(folder, objects))
    assert [manifest.info.classes[position] for position in manifest.class_index()] == ["dog.n.01", "cat.n.01"]


def test_ids_may_be_named_and_spelled_otherwise(folder: Path) -> None:
    write(folder, {"007": [thing("cat.n.01")], "8": [thing("dog.n.01")]}, image="id", kind="attributes")
    regions = [
        {"image_id": "007", "id": 1, "regions": [region("seven", 1)]},
        {"id": 8, "regions": [region("eight", 1)]},
    ]
    (folder / "region_descriptions.json").write_text(json.dumps(regions), encoding="utf-8")
    manifest, summary = prepare("visual_genome", folder)
    assert manifest.ids() == ["007", "8"]
    assert manifest.texts("caption") == ["seven", "eight"]
    assert manifest.images() == ["VG_100K/007.jpg", "VG_100K_2/8.jpg"]
    assert summary.rejected == {}


def test_a_subset_is_drawn_by_the_seed_and_the_classes_with_it(folder: Path) -> None:
    write_visual_genome(folder)
    manifest, summary = prepare("visual_genome", folder, visual_genome={"subset": 20})
    ids = manifest.ids()
    assert summary.kept + summary.skipped.get("no object of the classes", 0) == 20
    assert ids == sorted(ids, key=int)  # the order of the file
    assert prepare("visual_genome", folder, visual_genome={"subset": 20})[0].ids() == ids
    assert prepare("visual_genome", folder, visual_genome={"subset": 20}, seed=1)[0].ids() != ids
    assert summary.notes[1] == "subset: 20 of 52 pictures, drawn by the seed 0"
    summary = prepare("visual_genome", folder, visual_genome={"subset": 7034})[1]
    assert summary.notes[1] == "subset: 7034 pictures were asked for, and all 52 are taken"


def test_the_classes_depend_on_the_subset_alone(folder: Path) -> None:
    objects = {number: [thing(f"n{number}.n.01")] for number in range(1, 9)}
    write(folder, objects)
    manifest, _ = prepare("visual_genome", folder, visual_genome={"subset": 3})
    ids = manifest.ids()
    assert manifest.info.classes == tuple(f"n{spelled}.n.01" for spelled in ids)
    limited, _ = prepare("visual_genome", folder, visual_genome={"subset": 3}, limit=2)
    assert limited.ids() == ids[:2]
    assert limited.info.classes == manifest.info.classes


def test_a_limit_counts_no_skipped_picture(folder: Path) -> None:
    objects = {1: [], 2: [thing("cat.n.01")], 3: [], 4: [thing("cat.n.01")]}
    manifest, summary = prepare("visual_genome", write(folder, objects), limit=1)
    assert manifest.ids() == ["2"]
    assert summary.skipped == {"no object of the classes": 1}


def test_entries_that_are_wrong_are_rejected_each_with_its_place(folder: Path) -> None:
    cat = thing("cat.n.01")
    regions = {
        2: [region(5, 1)],
        3: [region("a", "wide")],
        4: [region("half \ud800", 1)],
        99: [],
    }
    write(folder, {1: [cat], 2: [cat], 3: [cat], 4: [cat], 5: [cat, "dog"], 6: "none", 7: [cat], 8: None}, regions)
    edit(folder / "image_data.json", lambda content: content.extend([{"image_id": 1}, {"url": "x"}, 12]))
    (folder / "VG_100K" / "7.jpg").unlink()
    manifest, summary = prepare("visual_genome", folder, max_reject_share=1)
    assert manifest.ids() == ["1"]
    assert summary.rejected == {"bad-record": 9, "missing-image": 1}
    assert summary.skipped == {"no object of the classes": 1}
    for told in (
        '1,image_data.json:[8],bad-record,"the picture is listed already, at image_data.json:[0]"',
        ",image_data.json:[9],bad-record,expected a picture with an image_id",
        ",image_data.json:[10],bad-record",
        "2,region_descriptions.json:[0],bad-record,\"regions[0]: phrase: expected text, found int '5'\"",
        '3,region_descriptions.json:[1],bad-record,"regions[0]: expected numbers in width and height',
        '4,region_descriptions.json:[2],bad-record,"regions[0]: expected text in phrase',
        "99,region_descriptions.json:[3],bad-record,of a picture that image_data.json does not list",
        '5,objects.json:[4],bad-record,"expected a list of objects in objects, found',
        "6,objects.json:[5],bad-record,\"expected a list of objects in objects, found 'none'\"",
        "7,image_data.json:[6],missing-image",
    ):
        assert f"\n{told}" in rejects(folder)


def test_an_id_that_leads_elsewhere_opens_nothing(folder: Path) -> None:
    cat = thing("cat.n.01")
    write(folder, {1: [cat]})
    (folder.parent / "secret.jpg").write_bytes(b"not to be read")
    evil = "../../secret"
    edit(folder / "image_data.json", lambda content: content.append({"image_id": evil}))
    edit(folder / "objects.json", lambda content: content.append({"image_id": evil, "objects": [cat]}))
    manifest, summary = prepare("visual_genome", folder, max_reject_share=0.5)
    assert manifest.ids() == ["1"]
    assert summary.rejected == {"unsafe-path": 1}


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("image_data.json", "expected a JSON file at"),
        ("region_descriptions.json", "region_descriptions.json, found none"),
        ("objects.json", "expected objects.json or attributes.json in"),
        ("VG_100K", "expected the pictures in VG_100K/, VG_100K_2/"),
    ],
)
def test_what_is_missing_is_named(folder: Path, gone: str, told: str) -> None:
    write(folder, {1: [thing("cat.n.01")]})
    path = folder / gone
    path.rename(folder / "elsewhere")
    assert told in refusal("visual_genome", folder)


def test_sets_without_pictures_or_objects_are_refused(folder: Path) -> None:
    write(folder, {1: []})
    assert "expected objects with synsets or names, found none" in refusal("visual_genome", folder)
    (folder / "image_data.json").write_text("[]", encoding="utf-8")
    assert "expected a list of pictures with image_id, found none" in refusal("visual_genome", folder)
