"""Reads one subset in the COCO layout entry by entry: pictures, captions, instances and their categories."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stages.prepare.sources.json_files import Entry, id_order, identity, is_writable, json_entries, text
from stages.prepare.sources.protocol import Reason, Reject
from stages.prepare.sources.published.coco.layout import Subset
from store.errors import InputError


class _Category(NamedTuple):
    where: str
    name: str
    kind: str


class Categories:
    """The categories of all files together; the class of one is its position when the ids are sorted."""

    def __init__(self) -> None:
        self._known: dict[str, _Category] = {}
        self._used: dict[str, str] = {}

    def add(self, where: str, value: Any) -> None:
        """Take one entry of the list `categories`.

        Raises
        ------
        InputError
            When it has no id or no name, or another name than the same id had before.
        """
        entry = value if isinstance(value, dict) else {}
        spelled, name = identity(entry.get("id")), identity(entry.get("name"))
        kind = identity(entry.get("supercategory")) or ""
        if spelled is None or name is None or not is_writable(spelled, name, kind):
            raise InputError(
                f"{where}: expected a category with an id and a name, found {str(value)[:80]!r}; mend the entry"
            )
        before = self._known.setdefault(spelled, _Category(where, name, kind))
        if before.name != name:
            raise InputError(
                f"{where}: expected one name for the category {spelled}, found {name!r} beside {before.name!r} of "
                f"{before.where}; mend one, or name one subset in prepare.coco.subsets"
            )

    def use(self, spelled: str, where: str) -> None:
        """Note that an annotation names a category."""
        self._used.setdefault(spelled, where)

    def classes(self) -> dict[str, str]:
        """Return the names by id, in the order of the classes.

        Raises
        ------
        InputError
            When an annotation names a category that no file lists, or two ids bear one name.
        """
        for spelled, where in self._used.items():
            if spelled not in self._known:
                raise InputError(
                    f"{where}: expected a category of the list `categories`, found {spelled}, which it does not hold; "
                    "add it there, or mend the annotation"
                )
        names = {spelled: self._known[spelled].name for spelled in sorted(self._known, key=id_order)}
        owners: dict[str, str] = {}
        for spelled, name in names.items():
            if owners.setdefault(name, spelled) != spelled:
                raise InputError(
                    f"{self._known[spelled].where}: expected distinct names of categories, found {name!r} again, after "
                    f"{self._known[owners[name]].where}; rename one"
                )
        return names

    def super_classes(self) -> dict[str, str]:
        """Return the super-category of each class that has one."""
        return {category.name: category.kind for category in self._known.values() if category.kind}


_MOST_FAULTS = 10_000
"""Rejected entries are held until the pictures are told, so their number is bounded."""

Caption = tuple[tuple[int, int, str], int, str]
"""What captions are sorted by, the id and the place of the annotation, and the text."""


@dataclass(slots=True)
class Picture:
    """What the files of a subset say of one picture.

    Attributes
    ----------
    where : str
        Its entry in `images`; the first annotation of it where there is none.
    listed : str
        The file that lists it, the last one of several; "" where none does.
    file_name : str or None
        As it stands there.
    categories : set of str
        Ids of the categories of its instances, crowds included.
    captions : list of Caption
        Those that are not blank, or only the first of them.
    annotations : int
        How many annotations there are of it.
    """

    where: str
    listed: str = ""
    file_name: str | None = None
    categories: set[str] = field(default_factory=set)
    captions: list[Caption] = field(default_factory=list)
    annotations: int = 0


class SubsetReader:
    """The pictures of one subset, in the order of `images`; annotations may stand before and after them.

    Parameters
    ----------
    subset : Subset
        Its files.
    categories : Categories
        Takes the categories of all subsets.
    first_only : bool
        Keep the caption of the lowest annotation id alone.

    Raises
    ------
    InputError
        When a file is no JSON, lists no pictures, lists one twice or unlike another file does, or has too many entries
        that nothing can be made of.
    """

    def __init__(self, subset: Subset, categories: Categories, *, first_only: bool) -> None:
        self.subset = subset
        self.pictures: dict[str, Picture] = {}
        self.faults: list[Reject] = []
        self._categories = categories
        self._first_only = first_only
        self._order: list[str] = []
        for path in subset.files:
            for entry in json_entries(path):
                self._take(path.name, entry)
        if not self._order:
            raise InputError(
                f"{', '.join(path.name for path in subset.files)}: expected pictures in a list `images`, found none; "
                "mend prepare.path, or name other subsets in prepare.coco.subsets"
            )

    def listed(self) -> Iterator[tuple[str, Picture]]:
        """Yield id and picture of each entry of `images`."""
        return ((spelled, self.pictures[spelled]) for spelled in self._order)

    def unlisted(self) -> Iterator[Reject]:
        """Yield the pictures that have annotations and no entry in `images`."""
        for spelled, picture in self.pictures.items():
            if not picture.listed:
                detail = f"{picture.annotations} annotations of a picture that `images` does not list"
                yield Reject(spelled, picture.where, "bad-record", detail)

    def _take(self, file: str, entry: Entry) -> None:
        if entry.key == "images":
            self._take_image(file, entry)
        elif entry.key == "annotations":
            self._take_annotation(entry)
        elif entry.key == "categories":
            self._categories.add(entry.where, entry.value)

    def _take_image(self, file: str, entry: Entry) -> None:
        value = entry.value if isinstance(entry.value, dict) else {}
        spelled, file_name = identity(value.get("id")), value.get("file_name")
        if spelled is None or not is_writable(spelled):
            self._fault("", entry, "expected a picture with an id")
            return
        name = file_name if isinstance(file_name, str) else None
        picture = self.pictures.setdefault(spelled, Picture(entry.where))
        if not picture.listed:
            self._order.append(spelled)
            picture.where, picture.file_name = entry.where, name
        elif picture.listed == file or picture.file_name != name:
            raise InputError(
                f"{entry.where}: expected one picture per id, found the id {spelled} again with {name!r}, after "
                f"{picture.where} with {picture.file_name!r}; mend one of the entries"
            )
        picture.listed = file

    def _take_annotation(self, entry: Entry) -> None:
        value = entry.value if isinstance(entry.value, dict) else {}
        spelled = identity(value.get("image_id"))
        if spelled is None or not is_writable(spelled):
            self._fault("", entry, "expected an annotation with an image_id")
            return
        picture = self.pictures.setdefault(spelled, Picture(entry.where))
        picture.annotations += 1
        if "category_id" not in value and "caption" not in value:
            self._fault(spelled, entry, "expected a caption or a category_id in the annotation")
        if "category_id" in value:
            self._take_instance(spelled, picture, entry, value)
        if "caption" in value:
            self._take_caption(spelled, picture, entry, value)

    def _take_instance(self, spelled: str, picture: Picture, entry: Entry, value: dict[str, Any]) -> None:
        category = identity(value["category_id"])
        if category is None:
            self._fault(spelled, entry, f"expected an id in category_id, found {str(value['category_id'])[:40]!r}")
            return
        picture.categories.add(category)
        self._categories.use(category, entry.where)

    def _take_caption(self, spelled: str, picture: Picture, entry: Entry, value: dict[str, Any]) -> None:
        try:
            caption = text(value["caption"])
        except TypeError as error:
            self._fault(spelled, entry, f"caption: {error}")
            return
        if not is_writable(caption):
            self._fault(spelled, entry, "the caption holds half of a surrogate pair", "bad-text")
            return
        if caption is None:
            return
        ranked = (id_order(identity(value.get("id")) or ""), picture.annotations, caption)
        if self._first_only and picture.captions:
            picture.captions[0] = min(picture.captions[0], ranked)
        else:
            picture.captions.append(ranked)

    def _fault(self, spelled: str, entry: Entry, detail: str, reason: Reason = "bad-record") -> None:
        self.faults.append(Reject(spelled, entry.where, reason, detail))
        if len(self.faults) > _MOST_FAULTS:
            first = self.faults[0]
            raise InputError(
                f"{first.where}: expected at most {_MOST_FAULTS:,} entries that nothing can be made of, found more, of "
                f"which this is the first: {first.detail}; mend the file"
            )
