"""Paints small pictures that tell classes apart by colour and shape, no two of them alike."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 112, 96
COLOURS = ("crimson", "forestgreen", "royalblue", "gold", "purple", "darkorange")


def dice(*seed: str | int) -> Random:
    """Return a source of chance of its own for each seed."""
    return Random("/".join(map(str, seed)))  # noqa: S311 (pictures, not secrets)


def paint(path: Path, number: int, things: Sequence[int]) -> None:
    """Write picture `number`, which shows one shape per thing (0 to 5); the ending of the name says the format."""
    random = dice("picture", number)
    picture = Image.new("RGB", (WIDTH, HEIGHT), tuple(random.randint(150, 235) for _ in range(3)))
    draw = ImageDraw.Draw(picture)
    for place, thing in enumerate(things):
        left, top = 4 + 36 * place + random.randint(0, 6), random.randint(6, 40)
        box = (left, top, left + random.randint(24, 30), top + random.randint(32, 50))
        if thing % 3 == 0:
            draw.rectangle(box, fill=COLOURS[thing])
        elif thing % 3 == 1:
            draw.ellipse(box, fill=COLOURS[thing])
        else:
            draw.polygon([(box[0], box[3]), (box[2], box[3]), ((box[0] + box[2]) // 2, box[1])], fill=COLOURS[thing])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
