"""Finds out how a WebVision folder is laid out, and where its lists, pictures and metadata lie; for `webvision`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from stages.prepare.sections import WebvisionParams
from stages.prepare.sources.text_files import is_data, text_lines
from store.errors import InputError
from store.files.reading import resolve_below

Kind = Literal["original", "reorganised", "per_image"]
ORIGINS = ("google", "flickr")
LONGEST_LINE = 64 * 1024
_LOOKED_AT = 200
_OFFICIAL_FOLDERS = ("val_images_256", "val_images_resized", "val_images", "val")


@dataclass(frozen=True)
class FileList:
    """A list of pictures, a line `<path> <class from 0>` each.

    Attributes
    ----------
    path : Path
        The list.
    below : str
        What stands before its paths, seen from the root: nothing, or a folder with a slash.
    entries : Path or None
        The list that names, line by line, where the metadata of each picture stand.
    official : bool
        Whether it is the validation list that comes with the data.
    """

    path: Path
    below: str = ""
    entries: Path | None = None
    official: bool = False


class MetadataFile(NamedTuple):
    """One JSON array of metadata: its origin, and its name as the lists of metadata write it."""

    origin: str
    name: str
    path: Path


@dataclass(frozen=True)
class Layout:
    """Where all that is read lies.

    Attributes
    ----------
    kind : str
        Which of the three.
    root : Path
        The folder of the data set, below which all paths of pictures lie.
    order : Path
        The list of synsets whose order numbers the classes.
    names : Path
        The list of synsets that has their names.
    lists : tuple of FileList
        The lists to be read, in order.
    """

    kind: Kind
    root: Path
    order: Path
    names: Path
    lists: tuple[FileList, ...]

    @property
    def queries(self) -> Path:
        """The classes of the queries, a list that need not be there."""
        return self.root / "info" / "queries_synsets_map.txt"

    def metadata_files(self) -> Iterator[MetadataFile]:
        """Yield the JSON arrays in the order of origins and names; none where each picture has its own file."""
        if self.kind == "per_image":
            return
        for origin in ORIGINS:
            folders = (self.root / f"{origin}_json", self.root / origin)
            for path in next((found for each in folders if (found := _arrays(each))), []):
                yield MetadataFile(origin, f"{origin}/{path.name}", path)


def _arrays(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if is_data(path.name, (".json",)))


def find_layout(root: Path, params: WebvisionParams) -> Layout:
    """Look for the lists of the layout that is asked for, or of the one that is there.

    Raises
    ------
    InputError
        When there is no such layout, or a list is missing.
    """
    if not root.is_dir():
        raise InputError(f"expected the folder of WebVision at {root}, found none; mend prepare.path or prepare.root")
    reorganised = (root / "meta" / "train.txt").is_file()
    original = any((root / "info").glob("train_filelist_*.txt"))
    if params.layout == "original" or (params.layout == "auto" and original and not reorganised):
        return _original(root, params)
    if not reorganised:
        raise InputError(
            f"expected info/train_filelist_*.txt or meta/train.txt in {root}, found neither; "
            "mend prepare.path, prepare.root or prepare.webvision.layout"
        )
    return _reorganised(root, params)


def _original(root: Path, params: WebvisionParams) -> Layout:
    info = root / "info"
    lists = [_train_list(info, origin) for origin in params.origins]
    if not all(each.path.is_file() for each in lists):
        lists = [_train_list(info, "all")]
    if params.official_val:
        lists.append(FileList(info / "val_filelist.txt", _official_folder(root), official=True))
    _require(*(each.path for each in lists))
    return Layout("original", root, info / "synsets.txt", info / "synsets.txt", tuple(lists))


def _train_list(info: Path, origin: str) -> FileList:
    entries = info / f"train_meta_list_{origin}.txt"
    return FileList(info / f"train_filelist_{origin}.txt", entries=entries if entries.is_file() else None)


def _reorganised(root: Path, params: WebvisionParams) -> Layout:
    lists = [FileList(root / "meta" / "train.txt", "train/")]
    if params.official_val:
        lists.append(FileList(root / "meta" / "val.txt", _official_folder(root), official=True))
    _require(*(each.path for each in lists))
    names = root / "info" / "synsets.txt"
    order = root / "meta" / "synsets.txt"
    found: Kind = "per_image" if params.layout == "auto" and _has_files_beside(root) else "reorganised"
    return Layout(
        found if params.layout == "auto" else params.layout,
        root,
        order if order.is_file() else names,
        names if names.is_file() else order,
        tuple(lists),
    )


def _has_files_beside(root: Path) -> bool:
    """Tell whether one of the first pictures has a metadata file beside it: its own name without the ending."""
    for _, line in islice(text_lines(root / "meta" / "train.txt", LONGEST_LINE), _LOOKED_AT):
        stem = "train/" + line.rpartition(" ")[0].rpartition(".")[0]
        try:
            if resolve_below(root, stem).is_file():
                return True
        except InputError:
            continue
    return False


def _official_folder(root: Path) -> str:
    found = next((name for name in _OFFICIAL_FOLDERS if (root / name).is_dir()), None)
    if found is None:
        raise InputError(
            f"expected the official validation pictures in one of {', '.join(_OFFICIAL_FOLDERS)} of {root}, "
            "found no such folder; unpack them, or set prepare.webvision.official_val to false"
        )
    return f"{found}/"


def _require(*paths: Path) -> None:
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise InputError(f"expected the list {missing[0]}, found none; fetch it, or mend prepare.webvision")
