"""The source `visual_genome`: region phrases and frequent objects; docs/systems/sources.md#visual_genome."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from random import Random

from stages.prepare.params import PrepareParams
from stages.prepare.sources.protocol import Folders, Reject, Skip, first_rows
from stages.prepare.sources.published.visual_genome.reading import Archive, Picture
from store.errors import InputError
from store.items.records import Item, ManifestInfo

_META = ("image_id", "coco_id", "boxes")
_FOLDERS = ("VG_100K", "VG_100K_2", "images/VG_100K", "images/VG_100K_2", "images")


class VisualGenomeSource:
    """Visual Genome, multiclass: which of the most frequent objects a picture shows most often.

    The classes are the objects that are most frequent in the chosen pictures, the most frequent first. The published
    system counts in train pictures alone; here the split does not exist yet, so the choice of classes (never a label)
    looks at all chosen pictures, whatever `limit` says. Among objects that a picture shows equally often, the one that
    is more frequent overall is its class.

    The files are read once, entry by entry; what stays in memory is a record for each chosen picture.

    Parameters
    ----------
    params : PrepareParams
        `folder`, `seed` and the section `visual_genome`.
    folders : Folders
        Not used: the data set brings its own pictures.

    Raises
    ------
    InputError
        When a file or the pictures are missing, a file is malformed, or no picture shows an object.
    """

    def __init__(self, params: PrepareParams, folders: Folders) -> None:  # noqa: ARG002 (the shape of every source)
        self._params = params.visual_genome
        self._limit = params.limit
        self.images = params.folder
        self._files = _picture_files(self.images)
        self._archive = Archive(self.images / "image_data.json")
        drawn = _draw(self._archive, self._params.subset, params.seed)
        objects, key = _objects_file(self.images)
        self._archive.read_objects(objects, key)
        regions = self.images / "region_descriptions.json"
        self._archive.read_regions(regions, self._params.phrases)
        self.files = (self.images / "image_data.json", objects, regions)
        names = _most_frequent(self._archive, self._params.classes)
        if not names:
            raise InputError(f"{objects}: expected objects with synsets or names, found none; fetch the file again")
        self._ranks = {self._archive.vocabulary[name]: rank for rank, name in enumerate(names)}
        pictures = len(self._archive.pictures)
        self.expected = None if params.limit else pictures + len(self._archive.strays)
        self.notes = (
            f"classes: the {len(names)} most frequent objects ({objects.name}) of all {pictures} chosen pictures, "
            "those of a later test part included",
            *drawn,
        )
        self.info = ManifestInfo(
            source="visual_genome",
            root=str(self.images),
            task="multiclass",
            classes=names,
            fields=("caption",),
            meta=_META,
        )

    def items(self) -> Iterator[Item | Reject | Skip]:
        """Yield the chosen pictures in the order of `image_data.json`, then the entries that belong to none."""
        rows = (self._row(spelled, picture) for spelled, picture in self._archive.pictures.items())
        return first_rows(chain(rows, self._archive.strays), self._limit)

    def _row(self, spelled: str, picture: Picture) -> Item | Reject | Skip:
        if picture.fault:
            return picture.fault
        label = self._label(picture)
        if label is None and not self._params.keep_unlabelled:
            return Skip("no object of the classes")
        return Item(
            id=spelled,
            image=self._files.get(spelled, f"{_FOLDERS[0]}/{spelled}.jpg"),
            texts={"caption": ". ".join(phrase.words for phrase in picture.phrases) or None},
            labels=None if label is None else (label,),
            target=None,
            group=spelled,
            meta={"image_id": spelled, "coco_id": picture.coco_id, "boxes": _boxes(picture)},
            where=picture.where,
        )

    def _label(self, picture: Picture) -> str | None:
        counts = Counter(self._ranks[thing] for thing in picture.objects if thing in self._ranks)
        return self.info.classes[min(counts, key=lambda rank: (-counts[rank], rank))] if counts else None


def _picture_files(root: Path) -> dict[str, str]:
    """Return where the pictures lie, relative to the root, by id; the first folder that has one wins."""
    places = [place for place in _FOLDERS if (root / place).is_dir()]
    if not places:
        tried = ", ".join(f"{place}/" for place in _FOLDERS)
        raise InputError(
            f"expected the pictures in {tried} below {root}, found no such folder; put them there, or mend "
            "prepare.path or prepare.root"
        )
    found: dict[str, str] = {}
    for place in places:
        for path in (root / place).iterdir():
            if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
                found.setdefault(path.stem, f"{place}/{path.name}")
    return found


def _draw(archive: Archive, subset: int | None, seed: int) -> tuple[str, ...]:
    """Keep a subset of the pictures, drawn by the seed, and tell of it."""
    listed = len(archive.pictures)
    if subset is None:
        return ()
    if subset >= listed:
        return (f"subset: {subset} pictures were asked for, and all {listed} are taken",)
    random = Random(f"diptych/visual_genome/{seed}")  # noqa: S311 (a sample, not a secret)
    archive.keep(frozenset(random.sample(sorted(archive.pictures), subset)))
    return (f"subset: {subset} of {listed} pictures, drawn by the seed {seed}",)


def _objects_file(root: Path) -> tuple[Path, str]:
    for key in ("objects", "attributes"):
        if (root / f"{key}.json").is_file():
            return root / f"{key}.json", key
    raise InputError(f"expected objects.json or attributes.json in {root}, found neither; fetch one")


def _most_frequent(archive: Archive, most: int) -> tuple[str, ...]:
    counts: Counter[int] = Counter()
    for picture in archive.pictures.values():
        counts.update(picture.objects)
    ranked = sorted(archive.vocabulary.items(), key=lambda name: (-counts[name[1]], name[0]))
    return tuple(name for name, _ in ranked[:most])


def _boxes(picture: Picture) -> str:
    """Return x, y, width and height of the regions that the caption tells of, as JSON."""
    return json.dumps([[_whole(side) for side in phrase.box] for phrase in picture.phrases])


def _whole(side: float | None) -> float | int | None:
    return int(side) if side is not None and side.is_integer() else side
