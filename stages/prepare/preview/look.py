"""Looks at a data set before it is prepared: nothing is kept but measures, rejected rows and a sheet of some items."""

from __future__ import annotations

import base64
import io
import shutil
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from stages.contract import Progress
from stages.models.encoders.image.decoding import UndecodableImage, load_image
from stages.prepare.checks import Checked
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.sources.protocol import Reject, Skip
from stages.prepare.summary import PrepareSummary, told
from store.errors import InputError
from store.files.reading import read_regular_file, resolve_below
from store.items.manifest import Manifest
from store.items.records import Item, ManifestInfo

_CUT = 400
_UNLABELLED = 2


@dataclass
class _Drawer:
    """A fair draw of so many items out of those offered, however many they are."""

    size: int
    offered: int = 0
    items: list[Item] = field(default_factory=list)

    def offer(self, item: Item, random: Random) -> None:
        self.offered += 1
        if len(self.items) < self.size:
            self.items.append(_cut(item))
            return
        place = random.randrange(self.offered)
        if place < self.size:
            self.items[place] = _cut(item)


class Sample:
    """A few items of each of a few classes, and of the items without a class.

    Parameters
    ----------
    classes : tuple of str
        All classes; of more than `most` as many are drawn. Without any, all items are one class.
    most : int
        The largest number of items.
    seed : int
        Of the draw: the same stream gives the same items.
    """

    def __init__(self, classes: tuple[str, ...], most: int, seed: int) -> None:
        self._random = Random(f"diptych/preview/{seed}")  # noqa: S311 (a draw for people to look at)
        chosen = sorted(self._random.sample(range(len(classes)), min(most, len(classes))))
        each = -(-most // len(chosen)) + 2 if chosen else 0  # two more, for an item may stand for several classes
        self._most = most
        self._drawers = {classes[place]: _Drawer(each) for place in chosen}
        self._others = _Drawer(_UNLABELLED if chosen else most)

    def offer(self, item: Item) -> None:
        """Show one item of the stream."""
        if not item.labels:
            self._others.offer(item, self._random)
        for label in item.labels or ():
            if label in self._drawers:
                self._drawers[label].offer(item, self._random)

    def items(self) -> list[Item]:
        """Return the drawn items in the order of the classes, none twice."""
        turns = [*self._drawers.values(), self._others]
        chosen: dict[str, int] = {}
        found: dict[str, Item] = {}
        for place, item in _in_turn([drawer.items for drawer in turns]):
            if item.id not in chosen and len(chosen) < self._most:
                chosen[item.id], found[item.id] = place, item
        return [found[name] for name in sorted(found, key=lambda name: (chosen[name], name))]


def _in_turn(drawn: list[list[Item]]) -> Iterator[tuple[int, Item]]:
    """Yield the first item of each class, then the second of each, with the place of the class."""
    for rank in range(max(map(len, drawn), default=0)):
        for place, items in enumerate(drawn):
            if rank < len(items):
                yield place, items[rank]


def _cut(item: Item) -> Item:
    """Keep of an item what a sheet shows, for a text may be a megabyte."""
    return replace(item, texts={name: None if text is None else text[:_CUT] for name, text in item.texts.items()})


_SIDE = 240
_QUALITY = 80
_LETTERS = 300


def sheet_page(items: Sequence[Item], images: Path) -> str:
    """Write a contact sheet as HTML: style and pictures inside, no script, nothing fetched from anywhere.

    Parameters
    ----------
    items : sequence of Item
        What is shown, in this order; of a long text the first 300 letters.
    images : Path
        The folder below which the pictures lie.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("contact_sheet.html.j2").render(
        tiles=[(item, _thumbnail(item, images)) for item in items],
        pictures=any(item.image is not None for item in items),
        most=_LETTERS,
    )


def _thumbnail(item: Item, images: Path) -> str | None:
    """Return a small picture as a data URI; None without one."""
    if item.image is None:
        return None
    try:
        picture = load_image(read_regular_file(resolve_below(images, item.image)), draft=(2 * _SIDE, 2 * _SIDE))
    except (OSError, InputError, UndecodableImage):
        return None  # it was there a moment ago: somebody is changing the folder, and the sheet is only for a look
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    picture.save(stream, format="JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


ITEMS = 24
_EXAMPLES = 5
_TEXTS = 2000


@dataclass
class Measures:
    """What `prepare` need not count but a person wants to see first.

    Attributes
    ----------
    words : dict of str to Counter of int
        By field, how many texts have so many words.
    widths, heights : Counter of int
        How many pictures are so wide, and so high.
    modes : Counter of str
        How many pictures have pixels of a mode, as Pillow names it.
    targets : array of float
        The values of a regression.
    most_labels : int
        The largest number of labels of an item.
    rejects : list of str
        The first rejected rows.
    unusual : dict of str to dict of str to None
        By field, the first 2,000 distinct texts with signs beyond ASCII, which tokenisers may not know.
    """

    words: dict[str, Counter[int]] = field(default_factory=dict)
    widths: Counter[int] = field(default_factory=Counter)
    heights: Counter[int] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    targets: array[float] = field(default_factory=lambda: array("d"))
    most_labels: int = 0
    rejects: list[str] = field(default_factory=list)
    unusual: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, checked: Checked) -> None:
        """Measure an item."""
        for name, text in checked.item.texts.items():
            if text is not None:
                self.words.setdefault(name, Counter())[len(text.split())] += 1
                if not text.isascii() and len(kept := self.unusual.setdefault(name, {})) < _TEXTS:
                    kept[text] = None
        if checked.size is not None:
            self.widths[checked.size[0]] += 1
            self.heights[checked.size[1]] += 1
            self.modes[checked.mode] += 1
        if checked.item.target is not None:
            self.targets.append(checked.item.target)
        self.most_labels = max(self.most_labels, len(checked.item.labels or ()))


class _Look:
    """Measures what `run` shows it, and keeps a sample of it."""

    def __init__(self, seed: int) -> None:
        self.measures = Measures()
        self._seed = seed
        self.sample = Sample((), 0, seed)

    def opened(self, info: ManifestInfo) -> None:
        self.sample = Sample(info.classes, ITEMS, self._seed)

    def see(self, row: Checked | Reject | Skip) -> None:
        if isinstance(row, Checked):
            self.measures.add(row)
            self.sample.offer(row.item)
        elif isinstance(row, Reject) and len(self.measures.rejects) < _EXAMPLES:
            self.measures.rejects.append(told(row))


@dataclass(frozen=True)
class Preview:
    """What a dry run found, in numbers; `preview_lines` puts it into words.

    Attributes
    ----------
    summary : PrepareSummary
        The counts, as a real run would write them.
    measures : Measures
        Lengths of texts, sizes of pictures, values.
    bytes_written : int
        What a real run would write to its folder.
    sheet : Path
        The contact sheet.
    rejects : Path
        All rejected rows.
    rows : int or None
        Where only the first rows were looked at, how many.
    """

    summary: PrepareSummary
    measures: Measures
    bytes_written: int
    sheet: Path
    rejects: Path
    rows: int | None


def preview(params: PrepareParams, folder: Path, progress: Progress, rows: int | None = None) -> Preview:
    """Run the source and all checks as `run` does, and keep only a contact sheet and the list of rejected rows.

    Parameters
    ----------
    params : PrepareParams
        The source, and how much of it may be rejected.
    folder : Path
        Gets `contact-sheet.html` and `rejects.csv`, replacing those of the last time.
    progress : Progress
        Draws one bar over the rows.
    rows : int, optional
        Look at the first rows only.

    Returns
    -------
    Preview
        The same for the same data and seed. The memory it takes is that of `run`, and eight bytes for each target.

    Raises
    ------
    InputError
        As `run` raises it.
    """
    least = min((each for each in (rows, params.limit) if each is not None), default=None)
    folder.mkdir(parents=True, exist_ok=True)
    look = _Look(params.seed)
    with tempfile.TemporaryDirectory(prefix=".aside-", dir=folder) as aside:
        outputs = PrepareOutputs(Path(aside) / "prepare")
        summary = run(params.model_copy(update={"limit": least}), outputs, progress, look)
        root = Path(Manifest.open(outputs.folder / "manifest.parquet").info.root)
        page = sheet_page(look.sample.items(), root)
        size = sum(path.stat().st_size for path in outputs.folder.rglob("*") if path.is_file())
        (Path(aside) / "sheet.html").write_text(page, encoding="utf-8")
        shutil.move(Path(aside) / "sheet.html", folder / "contact-sheet.html")
        shutil.move(outputs.folder / "rejects.csv", folder / "rejects.csv")
    return Preview(summary, look.measures, size, folder / "contact-sheet.html", folder / "rejects.csv", rows)
