"""Before a verb spends hours: what it will write and hold, reckoned from cards and params, against what is free.

The figures are estimates. Memory is reckoned where it grows with the data and a number of params.yaml bounds it.
`embed` asks by itself, once it knows how many rows the store lacks; docs/operations.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.machine.settings import Settings
from pipeline.params.sections import Params
from store.files.outputs import read_small_json
from store.files.room import check_disk, check_memory
from store.results.cards import EntryCard

_FLOAT, _DOUBLE = 4, 8
_SUPPORT = 0.4  # of the train rows, that are support vectors of one label's machine: 0.38 and 0.49 were measured
_GROWN = 1.26  # nodes for each train row of a tree that is grown until its leaves are pure
_NODE = 64  # bytes of a node, besides what it says of each class
_PIXEL = 0.4  # bytes, of a drawn scene as JPEG; 0.37 was measured
_KNOWN_ROW = 300  # bytes that `prepare` remembers of a row to tell ids and contents that come again
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class Needs:
    """What a run will take.

    Attributes
    ----------
    disk : mapping of Path to int
        Bytes by folder.
    memory : int
        Bytes that grow with the data.
    advice : str
        What takes less memory.
    """

    disk: Mapping[Path, int] = field(default_factory=dict)
    memory: int = 0
    advice: str = ""


def refuse_lack(verb: str, name: str, params: Params, settings: Settings) -> None:
    """Refuse a run that does not fit onto this machine.

    Raises
    ------
    RunError
        With what is lacking, unless `preflight` of the settings says otherwise.
    """
    reckon = _RECKONED.get(verb)
    if reckon is None or settings.preflight == "off":
        return
    needs, what = reckon(name, params), verb if name == verb else f"{verb} {name}"
    check_disk(what, needs.disk, settings.preflight)
    check_memory(what, needs.memory, needs.advice, settings.preflight)


def _prepare(name: str, params: Params) -> Needs:  # noqa: ARG001 (as the others)
    entry, scenes = params.prepare, params.prepare.scenes
    if entry.source == "scenes":
        rows = min(scenes.items, entry.limit or scenes.items)
        return Needs({paths.PREPARE: int(rows * scenes.size**2 * _PIXEL)}, rows * _KNOWN_ROW, "lower scenes.items")
    source = Path(entry.path)
    if not source.is_file():
        return Needs()
    size = source.stat().st_size
    rows = min(_lines(source, size), entry.limit or size)
    return Needs({paths.PREPARE: size}, rows * _KNOWN_ROW, "set prepare.limit")


def _lines(source: Path, size: int) -> int:
    """Estimate the lines of a text file from its beginning."""
    with source.open("rb") as file:
        sample = file.read(_SAMPLE)
    return size * sample.count(b"\n") // max(1, len(sample))


def _reduce(name: str, params: Params) -> Needs:
    entry = params.reduce[name]
    rows, dim = _shape(params, [entry.features])
    covariances = 3 * dim**2 * _DOUBLE  # the sums, the matrix, its eigenvectors
    disk = {
        paths.DATA / "reduce": rows * entry.components * _FLOAT,
        paths.model("reduce", name): dim * entry.components * _DOUBLE,
    }
    return Needs(disk, covariances, "reduce a matrix of fewer dimensions")


def _fuse(name: str, params: Params) -> Needs:
    entry = params.fuse[name]
    rows, dim = _shape(params, entry.features)
    options = entry.options.model_dump()
    width = options.get("components") if isinstance(options.get("components"), int) else None
    # Most fusions that learn are no wider than all inputs side by side; what they write is asked for again then.
    return Needs({paths.DATA / "fuse": rows * (width * len(entry.features) if width else dim) * _FLOAT})


def _train(name: str, params: Params) -> Needs:
    from store.items.manifest import Manifest

    entry = params.train[name]
    _, dim = _shape(params, entry.features)
    parts = read_small_json(paths.SPLIT / "summary.json").get("rows", {})
    info = Manifest.open(paths.MANIFEST).info if paths.MANIFEST.is_file() else None
    classes = max(1, len(info.classes)) if info is not None else 1
    rows = int(parts.get("train", 0))
    scored = int(parts.get("dev", 0)) + int(parts.get("test", 0))
    labels = classes if info is None or info.task == "multilabel" else 1
    options = entry.recipe.head_options.model_dump() if entry.recipe.head_options is not None else {}
    model = _model_bytes(entry.head, options, (rows, dim), (labels, classes))
    disk = {
        paths.DATA / "train": len(entry.seeds) * scored * classes * _FLOAT,
        paths.model("train", name): len(entry.seeds) * model,
        paths.TRAIN_STATES: len(entry.seeds) * model,
    }
    return Needs(disk)


def _model_bytes(head: str, options: Mapping[str, Any], shape: tuple[int, int], counts: tuple[int, int]) -> int:
    """Reckon the models of scikit-learn that grow with the train rows; others are small.

    Parameters
    ----------
    shape : (int, int)
        Train rows and dimensions.
    counts : (int, int)
        Machines that are trained one for each label, and classes.
    """
    (rows, dim), (labels, classes) = shape, counts
    if head == "forest":
        depth = options.get("max_depth")
        nodes = min(_GROWN * rows, 2.0 ** (min(depth, 60) + 1)) if depth else _GROWN * rows
        values = 2 * classes if labels > 1 else classes
        return int(options.get("trees", 100) * nodes * (_NODE + values * _DOUBLE))
    if head == "svm":
        return int(labels * _SUPPORT * rows * dim * _DOUBLE)
    return rows * dim * _FLOAT if head == "knn" else 0


def _shape(params: Params, features: list[str]) -> tuple[int, int]:
    """Return the rows of some matrices and their dimensions side by side, as their cards have them; zeros without."""
    cards = [EntryCard.read_sound(paths.card(params.matrices.producer_of[each], each)) for each in features]
    rows = max((card.counts.get("rows", 0) for card in cards), default=0)
    return rows, sum(card.counts.get("dim", 0) for card in cards)


_RECKONED: dict[str, Callable[[str, Params], Needs]] = {
    "prepare": _prepare,
    "reduce": _reduce,
    "fuse": _fuse,
    "train": _train,
}
