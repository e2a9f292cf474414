"""Gathers the categories of files in the COCO layout, which become the classes; called by `coco_reading`."""

from __future__ import annotations

from typing import Any, NamedTuple

from stages.errors import InputError
from stages.prepare.sources.spelling import id_order, identity, is_writable


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
