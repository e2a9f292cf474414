"""Save scikit-learn estimators with skops so that equal estimators give equal bytes; `classical` uses it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from store.errors import RunError

# skops lists what it trusts when it is imported, and for that loads torch: two seconds that a search need not wait.
_SCHEMA = "schema.json"
# skops trusts no tree by itself, because a crafted one reads beyond its arrays: `_check_trees` looks at its numbers.
_TRUSTED = ["sklearn.tree._tree.Tree"]


def save_estimator(path: Path, content: dict[str, Any]) -> None:
    """Write a dict of estimators, arrays and plain values.

    skops names things by their addresses in memory, stamps its zip with the time, and stores what happened to stand in
    the padding of a tree's nodes: here they are numbered in order, stamped alike and blanked.
    """
    import skops.io

    numbers: dict[str, str] = {}
    with (
        zipfile.ZipFile(io.BytesIO(skops.io.dumps(content))) as given,
        zipfile.ZipFile(path, "w") as written,  # not compressed: the bytes would follow the version of zlib
    ):
        schema = _renumber(json.loads(given.read(_SCHEMA)), numbers)
        for old, new in numbers.items():
            if old in given.namelist():
                _write(written, new, _without_padding(given.read(old)) if old.endswith(".npy") else given.read(old))
        _write(written, _SCHEMA, json.dumps(schema, separators=(",", ":")).encode())


def load_estimator(path: Path) -> dict[str, Any]:
    """Read back what `save_estimator` wrote.

    Raises
    ------
    RunError
        When a tree in it points outside its own nodes or columns.
    """
    import skops.io

    content: dict[str, Any] = skops.io.load(path, trusted=_TRUSTED)
    for value in content.values():
        for tree in getattr(value, "estimators_", ()):
            if hasattr(tree, "tree_"):
                _check_tree(tree, path)
    return content


def _renumber(node: Any, numbers: dict[str, str]) -> Any:
    """Give every address and file name in the schema its number by first appearance."""
    if isinstance(node, list):
        return [_renumber(each, numbers) for each in node]
    if not isinstance(node, dict):
        return node
    fresh: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__" and isinstance(value, int):
            fresh[key] = int(numbers.setdefault(str(value), str(len(numbers))))
        elif key == "file" and isinstance(value, str):
            fresh[key] = numbers.setdefault(value, f"{len(numbers)}{Path(value).suffix}")
        else:
            fresh[key] = _renumber(value, numbers)
    return fresh


def _without_padding(data: bytes) -> bytes:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names is None:
        return data
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), data)  # the date of a bare ZipInfo is always 1980-01-01


def _check_tree(estimator: BaseEstimator, path: Path) -> None:
    tree = estimator.tree_
    here = np.arange(tree.node_count)
    leaf = tree.children_left == -1

    def within(child: NDArray[np.int64]) -> bool:
        """Tell whether children stand after their parents and inside the tree: no way out, no way round."""
        return bool(np.all(leaf | ((child > here) & (child < tree.node_count))))

    columns = bool(np.all(leaf | ((tree.feature >= 0) & (tree.feature < tree.n_features))))
    if not (columns and within(tree.children_left) and within(tree.children_right)):
        raise RunError(f"{path}: expected trees of our own; found one that points outside itself; train it again.")
