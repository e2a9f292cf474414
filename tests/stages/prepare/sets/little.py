"""Three pictures in the layout of COCO, small enough to change one thing and see what comes of it."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

CATEGORIES = [
    {"id": 90, "name": "kite", "supercategory": "outdoor"},
    {"id": 3, "name": "car", "supercategory": "vehicle"},
    {"id": 17, "name": "cat", "supercategory": "animal"},
]
PICTURES = [{"id": number, "file_name": f"{number:012d}.jpg", "width": 8, "height": 6} for number in (42, 7, 100)]
CAPTIONS = [
    {"id": 31, "image_id": 42, "caption": "Second."},
    {"id": 30, "image_id": 42, "caption": "First."},
    {"id": 200, "image_id": 7, "caption": "Of seven."},
]
INSTANCES = [
    {"id": 1, "image_id": 42, "category_id": 90, "iscrowd": 0},
    {"id": 2, "image_id": 42, "category_id": 3, "iscrowd": 1},
    {"id": 3, "image_id": 42, "category_id": 90, "iscrowd": 0},
    {"id": 4, "image_id": 7, "category_id": 17, "iscrowd": 0},
]


def write_little(
    folder: Path,
    pictures: Any = PICTURES,
    captions: Any = CAPTIONS,
    instances: Any = INSTANCES,
    categories: Any = CATEGORIES,
    subset: str = "tiny",
) -> Path:
    """Write the set, or one that differs; picture 100 has no annotation. What is None is no file."""
    (folder / "annotations").mkdir(parents=True, exist_ok=True)
    paint_little(folder / subset)
    kinds = {
        "captions": {"images": pictures, "annotations": captions},
        "instances": {"images": pictures, "annotations": instances, "categories": categories},
    }
    for kind, content in kinds.items():
        if content["annotations"] is not None:
            (folder / "annotations" / f"{kind}_{subset}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def paint_little(folder: Path) -> None:
    """Put the three pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for shade, picture in enumerate(PICTURES):
        Image.new("RGB", (8, 6), (40 * shade, 90, 120)).save(folder / str(picture["file_name"]))
