"""Writes a small NLVR: presentations over six directories, two sentences shared, boxes drawn as the set has them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image, ImageDraw

import stages

PUBLISHED = Path(os.environ.get("DIPTYCH_TEST_DATA", Path(stages.__path__[0]).resolve().parents[1] / "shared" / "data"))
PUBLISHED /= "nlvr-dev/raw"
"""The published dev set, which need not be at hand."""
DIRECTORIES = 6
PRESENTATIONS = 18
EXAMPLES = 2
_COLORS = ("Black", "#0099ff", "Yellow")
_TYPES = ("circle", "square", "triangle")
_LEFT = (0, 150, 300)

Shape = Mapping[str, Any]
Boxes = list[list[Shape]]


def write_nlvr(folder: Path, subset: str = "dev", *, pictures: bool = True) -> Path:
    """Write `<folder>/<subset>/<subset>.json` and the pictures beside it, and return `folder`.

    18 presentations, three in each of six directories, with two examples each: 36 examples, 216 pictures of 400 x 100
    in RGBA. 16 distinct sentences: the last presentation of directory 4 shares its sentence with the first one of
    directory 0, and so does that of directory 5 with the first one of directory 1. The second example of each
    presentation has three equal boxes, so that its six pictures are byte-identical. Without `pictures` their folders
    stay empty.
    """
    home = folder / subset
    home.mkdir(parents=True)
    lines = []
    for presentation in range(PRESENTATIONS):
        directory = str(presentation % DIRECTORIES)
        (home / "images" / directory).mkdir(parents=True, exist_ok=True)
        for example in range(EXAMPLES):
            record = _example(presentation, example, directory)
            lines.append(json.dumps(record, separators=(",", ":")) + "\n")
            if pictures:
                _draw_all(home / "images" / directory / f"{subset}-{record['identifier']}", record["structured_rep"])
    (home / f"{subset}.json").write_text("".join(lines))
    return folder


def sentence_of(presentation: int) -> str:
    """Return the one sentence of a presentation; numbers 16 and 17 repeat those of 0 and 1."""
    told = presentation % (PRESENTATIONS - 2)
    return f"There is a {_TYPES[told % 3]} in box {told // 3 + 1} from the left."


def _example(presentation: int, example: int, directory: str) -> dict[str, Any]:
    dice = Random(f"{presentation}/{example}")  # noqa: S311 (pictures, not secrets)
    boxes: Boxes = [_box(dice) for _ in range(3)] if example == 0 else [_box(dice)] * 3
    label = "true" if dice.random() < 0.55 else "false"
    return {
        "sentence": sentence_of(presentation),
        "label": label,
        "identifier": f"{100 + 7 * presentation}-{example}",
        "directory": directory,
        "evals": {"r0": label, "r1": label},
        "structured_rep": boxes,
    }


def _box(dice: Random) -> list[Shape]:
    return [
        {
            "y_loc": dice.randrange(5, 65),
            "type": dice.choice(_TYPES),
            "color": dice.choice(_COLORS),
            "x_loc": dice.randrange(5, 65),
            "size": dice.choice((10, 20, 30)),
        }
        for _ in range(dice.randint(1, 4))
    ]


def _draw_all(stem: Path, boxes: Boxes) -> None:
    for number, order in enumerate(permutations(boxes)):
        picture = Image.new("RGBA", (400, 100), (128, 128, 128, 255))
        pen = ImageDraw.Draw(picture)
        for left, box in zip(_LEFT, order, strict=True):
            pen.rectangle((left, 0, left + 99, 99), fill=(211, 211, 211, 255))
            for shape in box:
                _draw(pen, left, shape)
        picture.save(stem.with_name(f"{stem.name}-{number}.png"))


def _draw(pen: ImageDraw.ImageDraw, left: int, shape: Shape) -> None:
    x, y, size = left + shape["x_loc"], shape["y_loc"], shape["size"]
    if shape["type"] == "circle":
        pen.ellipse((x, y, x + size, y + size), fill=shape["color"])
    elif shape["type"] == "square":
        pen.rectangle((x, y, x + size, y + size), fill=shape["color"])
    else:
        pen.polygon([(x, y + size), (x + size, y + size), (x + size // 2, y)], fill=shape["color"])
