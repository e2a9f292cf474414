"""Writes a small data set in the layout of Visual Genome: two folders of pictures, regions, attributes and objects."""

from pathlib import Path
from typing import Any

from tests.stages.prepare.sets.coco import write_json
from tests.stages.prepare.sets.painting import HEIGHT, WIDTH, dice, paint

OBJECTS = (("man", "man.n.01"), ("tree", "tree.n.01"), ("car", "car.n.01"), ("dog", "dog.n.01"))
SIZE = 52
BARE = 11
"""The picture that shows no object."""
SILENT = 23
"""The picture without a region."""
LOOKS = ("tall", "small", "bright", "dark", "old", "wet", "shiny")


def write_visual_genome(folder: Path) -> None:
    """Write 52 pictures: the object that is most frequent in each is one of four, and six phrases tell of it."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = [_objects(number) for number in range(SIZE)]
    for number in range(SIZE):
        place = "VG_100K" if number % 2 else "VG_100K_2"
        paint(folder / place / f"{image_id(number)}.jpg", 1000 + number, shown[number][:3])
    write_json(folder / "image_data.json", [_image(number) for number in range(SIZE)])
    write_json(folder / "region_descriptions.json", [_regions(number, things) for number, things in enumerate(shown)])
    write_json(folder / "attributes.json", [_attributes(number, things) for number, things in enumerate(shown)])
    write_json(
        folder / "objects.json",
        [
            {
                "image_id": image_id(number),
                "objects": [_object(number, place, thing) for place, thing in enumerate(things)],
                "image_url": f"https://example.org/VG_100K/{image_id(number)}.jpg",
            }
            for number, things in enumerate(shown)
        ],
    )


def image_id(number: int) -> int:
    """Return the id of picture `number`."""
    return 61 + 17 * number


def _objects(number: int) -> list[int]:
    if number == BARE:
        return []
    return [number % 4, number % 4, dice("objects", number).randrange(4)]


def _image(number: int) -> dict[str, Any]:
    return {
        "image_id": image_id(number),
        "url": f"https://example.org/VG_100K/{image_id(number)}.jpg",
        "width": WIDTH,
        "height": HEIGHT,
        "coco_id": None,
        "flickr_id": None,
    }


def _regions(number: int, things: list[int]) -> dict[str, Any]:
    looks = dice("looks", number).sample(LOOKS, 6)
    names = [OBJECTS[thing][0] for thing in things] or ["nothing"]
    regions = [
        {
            "region_id": 7000 + 10 * number + place,
            "image_id": image_id(number),
            "x": 3 * place,
            "y": 2,
            "width": 60 - 8 * place,
            "height": 50,
            "phrase": f"the {look} {names[place % len(names)]} of {number}",
        }
        for place, look in enumerate(looks)
    ]
    return {"id": image_id(number), "regions": [] if number == SILENT else regions}


def _object(number: int, place: int, thing: int) -> dict[str, Any]:
    name, synset = OBJECTS[thing]
    return {
        "synsets": [synset],
        "h": 40,
        "w": 28,
        "x": 4 + 36 * place,
        "y": 8,
        "object_id": 1_000_000 + 10 * number + place,
        "merged_object_ids": [],
        "names": [name],
    }


def _attributes(number: int, things: list[int]) -> dict[str, Any]:
    described = [_object(number, place, thing) for place, thing in enumerate(things)]
    for place, entry in enumerate(described):
        del entry["merged_object_ids"]
        if place == 0:  # the others have no attributes, and then the key is absent
            entry["attributes"] = [LOOKS[number % len(LOOKS)]]
    return {"image_id": image_id(number), "attributes": described}
