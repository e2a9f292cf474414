"""Looks at a data set before it is prepared: `run` works aside, nothing of it is kept, and what passes is measured."""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from stages.contract import Progress
from stages.items import Manifest, ManifestInfo
from stages.prepare.checks import Checked
from stages.prepare.contact_sheet import sheet_page
from stages.prepare.params import PrepareParams
from stages.prepare.preview_sample import Sample
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.sources.protocol import Reject, Skip
from stages.prepare.summary import PrepareSummary, told

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
