"""Writes a small data set of products as JSON lines: pictures, captions, categories, items and landmarks."""

import json
from pathlib import Path
from typing import Any

from tests.stages.prepare.sets.painting import COLOURS, dice, paint

CATEGORIES = (("coat", "outdoor"), ("lamp", "indoor"), ("mug", "kitchen"), ("shoe", "outdoor"))
SIZE = 48
USES = ("rainy days", "long evenings", "a gift", "the garden", "small rooms")


def write_mmfrb(folder: Path) -> None:
    """Write 48 products of four categories into `products.jsonl`, with their pictures below `images/`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_product(folder, number)) + "\n" for number in range(SIZE)]
    (folder / "products.jsonl").write_text("".join(lines), encoding="utf-8")


def _product(folder: Path, number: int) -> dict[str, Any]:
    random = dice("product", number)
    thing = number % 4
    category, room = CATEGORIES[thing]
    paint(folder / "images" / f"p{number:04d}.jpg", 2000 + number, [thing])
    return {
        "id": f"p{number:04d}",
        "image": f"images/p{number:04d}.jpg",
        "caption": f"A {COLOURS[thing]} {category} for {random.choice(USES)}, {room} model {number}.",
        "category": category,
        "items": [category, room],
        "landmarks": [[random.randint(4, 100), random.randint(4, 90), random.randint(0, 1)] for _ in range(4)],
    }
