"""Writes a small data set in the layout of COCO 2014: two subsets, padded names, category ids with gaps."""

import json
from pathlib import Path
from typing import Any

from tests.stages.prepare.sets.painting import HEIGHT, WIDTH, dice, paint

CATEGORIES = (("person", 1, "person"), ("car", 3, "vehicle"), ("cat", 17, "animal"), ("dog", 18, "animal"))
SIZES = {"train2014": 36, "val2014": 16}
BARE = {"train2014": 7, "val2014": 5}
"""Position, in each subset, of a picture that bears no instance."""
WAYS = ("on the grass", "in the street", "by the sea", "near a wall", "at night", "under a bridge", "in the snow")


def write_coco(folder: Path) -> None:
    """Write 52 pictures, 50 of them with one to three instances of four classes, and two captions of each."""
    (folder / "annotations").mkdir(parents=True)
    start = 0
    for subset, size in SIZES.items():
        captions, instances = _subset(folder, subset, range(start, start + size))
        write_json(folder / "annotations" / f"captions_{subset}.json", captions)
        write_json(folder / "annotations" / f"instances_{subset}.json", instances)
        start += size


def image_id(number: int) -> int:
    """Return the id of picture `number`, counted over both subsets."""
    return 9 + 4021 * number


def write_json(path: Path, content: Any) -> None:
    """Write as JSON in one line, as the published files are."""
    path.write_text(json.dumps(content), encoding="utf-8")


def _subset(folder: Path, subset: str, numbers: range) -> tuple[dict[str, Any], dict[str, Any]]:
    images: list[dict[str, Any]] = []
    captions: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    for position, number in enumerate(numbers):
        things = [] if position == BARE[subset] else _things(number)
        name = f"COCO_{subset}_{image_id(number):012d}.jpg"
        paint(folder / subset / name, number, things)
        images.append({"license": 1, "file_name": name, "height": HEIGHT, "width": WIDTH, "id": image_id(number)})
        captions += _captions(number, things)
        instances += [_instance(number, place, thing) for place, thing in enumerate(things)]
    head = {"info": {"description": "a small set", "year": 2014}, "licenses": [{"id": 1, "name": "x"}]}
    categories = [{"supercategory": kind, "id": identity, "name": name} for name, identity, kind in CATEGORIES]
    return (
        {**head, "images": images, "annotations": captions},
        {**head, "images": images, "annotations": instances, "categories": categories},
    )


def _things(number: int) -> list[int]:
    """Return the shapes of a picture: one class for sure, a second and a third sometimes."""
    random = dice("things", number)
    return [number % 4, *(random.randrange(4) for _ in range(random.choice((0, 0, 1, 1, 2))))]


def _captions(number: int, things: list[int]) -> list[dict[str, Any]]:
    named = " and ".join(f"a {CATEGORIES[thing][0]}" for thing in things) or "nothing much"
    where = WAYS[number % len(WAYS)]
    texts = (f"There is {named} {where}, view {number}.", f"A picture of {named}, number {number}.")
    return [
        {"image_id": image_id(number), "id": 5000 + 10 * number + place, "caption": text}
        for place, text in enumerate(texts)
    ]


def _instance(number: int, place: int, thing: int) -> dict[str, Any]:
    left, crowd = 4.5 + 36 * place, int(number % 9 == 0 and place == 0)
    outline = [[left, 6.0, left + 30, 6.0, left + 30, 56.0]]
    return {
        "segmentation": {"counts": [5, 900, 7], "size": [HEIGHT, WIDTH]} if crowd else outline,
        "area": 1500.0,
        "iscrowd": crowd,
        "image_id": image_id(number),
        "bbox": [left, 6.0, 30.0, 50.0],
        "category_id": CATEGORIES[thing][1],
        "id": 100_000 + 10 * number + place,
    }
