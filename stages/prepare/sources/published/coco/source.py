"""The source `coco`: captions and instances as COCO lays them out; `layout` finds, `reading` reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from stages.prepare.params import PrepareParams
from stages.prepare.sources.json_files import is_writable
from stages.prepare.sources.protocol import Folders, Reject, Skip, first_rows
from stages.prepare.sources.published.coco.layout import Subset, find_pictures, find_subsets, picture_path
from stages.prepare.sources.published.coco.reading import Categories, Picture, SubsetReader
from store.errors import InputError
from store.items.records import Item, ManifestInfo

_META = ("image_id", "file_name", "subset", "category_ids", "categories", "super_categories")


class CocoSource:
    """A data set in COCO's layout, multi-label: categories with an instance in a picture; docs/systems/sources.md#coco.

    The files are read once, entry by entry; what stays in memory is a record for each picture, with its captions.

    Parameters
    ----------
    params : PrepareParams
        `folder` and the section `coco`.
    folders : Folders
        Not used: the data set brings its own pictures.

    Raises
    ------
    InputError
        When files, pictures or subsets are missing, a file is malformed, or an id means two things.
    """

    def __init__(self, params: PrepareParams, folders: Folders) -> None:  # noqa: ARG002 (the shape of every source)
        self._params = params.coco
        self._limit = params.limit
        self.images = params.folder
        subsets, assumed = find_subsets(self.images, self._params.subsets)
        _refuse_unknown_parts(subsets, self._params.parts)
        categories = Categories()
        first_only = self._params.caption_policy == "first"
        self._readers = [SubsetReader(subset, categories, first_only=first_only) for subset in subsets]
        _refuse_shared_ids(self._readers)
        self._classes = categories.classes()
        self._super_classes = categories.super_classes()
        self._position = {spelled: position for position, spelled in enumerate(self._classes)}
        self._captioned = any(picture.captions for reader in self._readers for picture in reader.pictures.values())
        self._instanced = {
            reader.subset.name
            for reader in self._readers
            if any(picture.categories for picture in reader.pictures.values())
        }
        self._places = {reader.subset.name: self._find_pictures(reader) for reader in self._readers}
        self.expected = self._count()
        self.files = tuple(file for subset in subsets for file in subset.files)
        self.notes = (*assumed, *self._observations())
        self.info = ManifestInfo(
            source="coco",
            root=str(self.images),
            task="multilabel",
            classes=tuple(self._classes.values()),
            super_classes=self._super_classes,
            fields=("caption",) if self._captioned else (),
            meta=_META,
        )

    def items(self) -> Iterator[Item | Reject | Skip]:
        """Yield the pictures subset by subset, then the entries of the files that belong to none."""
        return first_rows(chain(self._all_rows(), self._strays()), self._limit)

    def _all_rows(self) -> Iterator[Item | Reject | Skip]:
        for reader in self._readers:
            for spelled, picture in reader.listed():
                yield from self._rows(reader, spelled, picture)

    def _strays(self) -> Iterator[Reject]:
        for reader in self._readers:
            yield from reader.faults
            yield from reader.unlisted()

    def _rows(self, reader: SubsetReader, spelled: str, picture: Picture) -> Iterator[Item | Reject | Skip]:
        name = picture.file_name
        if not name or not is_writable(name):
            yield Reject(spelled, picture.where, "bad-record", f"expected text in file_name, found {name!r}")
            return
        if not (picture.categories or self._keeps_unlabelled or self._is_negative(reader.subset)):
            yield Skip("no instance")
            return
        captions = [caption for _, _, caption in sorted(picture.captions)]
        for identity, caption in self._told(spelled, captions):
            if identity != spelled and any(identity in other.pictures for other in self._readers):
                yield Reject(identity, picture.where, "bad-record", "the id of a caption is that of another picture")
            else:
                yield self._item(reader.subset, spelled, picture, identity, caption)

    @property
    def _keeps_unlabelled(self) -> bool:
        return self._params.keep_unlabelled or not self._classes

    def _is_negative(self, subset: Subset) -> bool:
        """Tell whether a picture without instances bears none of the classes, or nobody looked."""
        return self._params.negatives and subset.name in self._instanced

    def _told(self, spelled: str, captions: list[str]) -> list[tuple[str, str | None]]:
        """Return the id and the caption of each row of a picture."""
        policy = self._params.caption_policy
        if policy == "all" and captions:
            return [(f"{spelled}#{position}", caption) for position, caption in enumerate(captions)]
        return [(spelled, " ".join(captions) if policy == "join" else captions[0])] if captions else [(spelled, None)]

    def _item(self, subset: Subset, spelled: str, picture: Picture, identity: str, caption: str | None) -> Item:
        ids = sorted(picture.categories, key=self._position.__getitem__)
        labels = tuple(self._classes[category] for category in ids)
        kinds = dict.fromkeys(self._super_classes[label] for label in labels if label in self._super_classes)
        name = picture.file_name or ""
        return Item(
            id=identity,
            image=picture_path(self._places[subset.name], name),
            texts={"caption": caption} if self._captioned else {},
            labels=labels or (() if self._is_negative(subset) else None),
            target=None,
            group=spelled,
            part=self._params.parts.get(subset.name),
            meta={
                "image_id": spelled,
                "file_name": name,
                "subset": subset.name,
                "category_ids": "|".join(ids),
                "categories": "|".join(labels),
                "super_categories": "|".join(kinds),
            },
            where=picture.where,
        )

    def _find_pictures(self, reader: SubsetReader) -> str:
        return find_pictures(
            self.images, reader.subset, [picture.file_name for _, picture in reader.listed() if picture.file_name]
        )

    def _count(self) -> int | None:
        if self._limit or self._params.caption_policy == "all":
            return None
        return sum(len(reader.pictures) + len(reader.faults) for reader in self._readers)

    def _observations(self) -> Iterator[str]:
        for name, place in self._places.items():
            if place != name:
                yield f"pictures of {name}: found in {f'{place}/' if place else 'the folder itself'}, not in {name}/"
        if not self._captioned:
            yield "no captions: there is no text field"
        if not self._classes:
            yield "no categories: there are no classes, and all pictures are kept unlabelled"
        for reader in self._readers:
            pictures = reader.pictures.values()
            if self._classes and reader.subset.name not in self._instanced:
                yield f"no picture of {reader.subset.name} has an instance"
            if self._captioned and not any(picture.captions for picture in pictures):
                yield f"no picture of {reader.subset.name} has a caption"


def _refuse_shared_ids(readers: list[SubsetReader]) -> None:
    owners: dict[str, Picture] = {}
    for reader in readers:
        for spelled, picture in reader.listed():
            if spelled in owners:
                raise InputError(
                    f"{picture.where}: expected ids of pictures that differ between subsets, found {spelled}, which is "
                    f"{owners[spelled].where} too; name one subset in prepare.coco.subsets, or number anew"
                )
            owners[spelled] = picture


def _refuse_unknown_parts(subsets: list[Subset], parts: Mapping[str, str]) -> None:
    names = [subset.name for subset in subsets]
    if parts and sorted(parts) != sorted(names):
        raise InputError(
            f"expected a part for each of the subsets {', '.join(names)} or for none, found {', '.join(parts)}; mend "
            "prepare.coco.parts"
        )
