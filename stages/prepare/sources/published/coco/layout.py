"""Finds the files and the pictures of a folder in the COCO layout, also where somebody laid it out anew; for `coco`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from stages.prepare.sources.text_files import is_data
from store.errors import InputError
from store.files.reading import resolve_below

_PUBLISHED = re.compile(r"(?:captions|instances)(?:_(.+))?\.json")
_EXPORTED = "_annotations.coco.json"
_LOOKED_AT = 100


class Subset(NamedTuple):
    """Some pictures that share their files of annotations, such as val2014."""

    name: str
    files: tuple[Path, ...]


def find_subsets(root: Path, wanted: tuple[str, ...] | None) -> tuple[list[Subset], tuple[str, ...]]:
    """Find the files of annotations: those named as published, else those of an export, else any JSON files.

    Published names without a subset, such as `captions.json`, make the subset `all`.

    Parameters
    ----------
    root : Path
        The folder of the data set.
    wanted : tuple of str or None
        The names of the subsets, in order; None takes all, sorted.

    Returns
    -------
    subsets : list of Subset
        At least one; captions come before instances.
    notes : tuple of str
        What was assumed.

    Raises
    ------
    InputError
        When there is no such folder, no file or not all that is wanted.
    """
    if not root.is_dir():
        raise InputError(f"expected the folder of a data set at {root}, found none; mend prepare.path or prepare.root")
    for look, assumed in _LAYOUTS:
        found = look(root)
        if found:
            subsets = [Subset(name, tuple(files)) for name, files in sorted(found.items())]
            return _chosen(root, subsets, wanted), (f"annotations: {assumed}",) if assumed else ()
    raise InputError(
        f"expected annotations/captions_<subset>.json or annotations/instances_<subset>.json below {root}, found no "
        "JSON file there; mend prepare.path or prepare.root"
    )


def find_pictures(root: Path, subset: Subset, file_names: Sequence[str]) -> str:
    """Choose the folder, relative to the root and "" for the root itself, that holds most of the named files.

    A hundred names, evenly spread, are looked for: below the folder named as the subset, `images/<subset>`, `images`,
    `data`, the folder of the annotations, and the root. A name that leaves the root counts as absent.

    Raises
    ------
    InputError
        When none of them lies in any of these folders.
    """
    names = file_names[:: max(1, len(file_names) // _LOOKED_AT)]
    beside = "/".join(subset.files[0].parent.relative_to(root).parts)
    places = tuple(dict.fromkeys((subset.name, f"images/{subset.name}", "images", "data", beside, "")))
    hits = {place: sum(_is_there(root, picture_path(place, name)) for name in names) for place in places}
    best = max(places, key=hits.__getitem__)
    if names and not hits[best]:
        tried = ", ".join(f"{place}/" if place else "the folder itself" for place in places)
        raise InputError(
            f"expected the pictures of {subset.name} below {root} ({tried}), found none of {len(names)} such as "
            f"{names[0]!r} (links that leave the folder are not followed); put them there, or mend prepare.root"
        )
    return best


def picture_path(folder: str, file_name: str) -> str:
    """Join what `find_pictures` chose and the name that the data gives; an absolute name stays one, to be refused."""
    return f"{folder}/{file_name}" if folder and not file_name.startswith("/") else file_name


def _is_there(root: Path, path: str) -> bool:
    try:
        return resolve_below(root, path).is_file()
    except (InputError, OSError):
        return False


def _chosen(root: Path, subsets: list[Subset], wanted: tuple[str, ...] | None) -> list[Subset]:
    if wanted is None:
        return subsets
    known = {subset.name: subset for subset in subsets}
    missing = [name for name in wanted if name not in known]
    if missing or not wanted:
        raise InputError(
            f"expected the subsets {', '.join(wanted) or '(none named)'} below {root}, found {', '.join(known)}; "
            "mend prepare.coco.subsets"
        )
    return [known[name] for name in dict.fromkeys(wanted)]


def _published(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in _json_files(folder.glob("*.json")):
        match = _PUBLISHED.fullmatch(path.name)
        if match:
            found.setdefault(match[1] or "all", []).append(path)
    return found


def _exported(folder: Path) -> dict[str, list[Path]]:
    return {path.parent.name: [path] for path in _json_files(folder.glob(f"*/{_EXPORTED}"))}


def _any(folder: Path) -> dict[str, list[Path]]:
    return {path.stem: [path] for path in _json_files(folder.glob("*.json"))}


def _json_files(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if is_data(path.name, (".json",)) and path.is_file())


_LAYOUTS: tuple[tuple[Callable[[Path], dict[str, list[Path]]], str], ...] = (
    (lambda root: _published(root / "annotations"), ""),
    (_published, "captions_<subset>.json and instances_<subset>.json stand in the folder itself, not in annotations/"),
    (_exported, f"each {_EXPORTED} is a subset, named as its folder"),
    (lambda root: _any(root / "annotations"), "each JSON file in annotations/ is a subset with all that it holds"),
    (_any, "each JSON file in the folder is a subset with all that it holds"),
)
