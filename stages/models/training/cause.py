"""Which of our own modules a stage runs: what dvc.yaml declares, and what counts in the cause of a saved state.

The imports are read from the source, those inside functions too, because torch and the like are imported late. Whoever
imports a name is taken to run the module that defines it: packages hand on names of others,
and `from store import open_matrix` reruns nothing when the store's garbage collector changes.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from store import canonical_json

PACKAGES = ("pipeline", "stages", "store")
_ROOT = Path(__file__).resolve().parents[__name__.count(".")]

_ASKED = (
    "how a run is asked for: it hands on parameters, which DVC watches by value, and paths and digests, which dvc.yaml "
    "and the wires name"
)
_MACHINE = "what a machine decides or a person reads: it must never invalidate a stage"
_WORDS = "the words and kinds of errors: they end a run, and no result has them"
_PLACE = "how bytes reach a place and come back whole: what they say is the caller's, and digests are compared behind"
_TRUST = "who may be believed and what need not be read twice: a row or a file is taken or refused, never another one"
_STATE = "names the saved state of a killed run, which ends in what a run without interruption computes"

UNWATCHED: Mapping[str, str] = {
    "pipeline.params.sections": _ASKED,
    "pipeline.paths": _ASKED,
    "pipeline.machine.settings": _MACHINE,
    "pipeline.journal.notices": _MACHINE,
    "store.errors": _WORDS,
    "stages.models.encoders.image.picture_kinds": _WORDS,
    "store.files.room": _MACHINE,
    "stages.models.training.cause": _STATE,
    "store.backends.address": _PLACE,
    "store.backends.protocol": _PLACE,
    "store.backends.local": _PLACE,
    "store.files.publish": _PLACE,
    "store.trust.signing": _TRUST,
    "store.trust.signatures": _TRUST,
    "store.trust.verified": _TRUST,
}
"""Modules that stages import and that can change no result, each with its reason; what they import is not followed.

They are left out of dvc.yaml, so that hours of training are not repeated for a better error message. Everything else
that a stage imports is declared there; tests/pipeline/test_declared_code.py compares. A stage begins at what its verb
imports when its turn comes: the command around it (`pipeline.cli`, `pipeline.verbs`) is how a run is asked for, too.
"""


class Sources:
    """Our modules below one folder, and what each imports.

    Parameters
    ----------
    root : Path
        The folder that holds `pipeline`, `stages` and `store`, or some of them.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._trees: dict[str, ast.Module] = {}
        self._imports: dict[str, tuple[str, ...]] = {}
        self._paths: dict[str, Path | None] = {}

    def path(self, module: str) -> Path | None:
        """Return the file of a module; None for one that is not ours."""
        if module.partition(".")[0] not in PACKAGES:
            return None
        if module not in self._paths:
            base = self._root.joinpath(*module.split("."))
            found = (each for each in (base / "__init__.py", base.with_suffix(".py")) if each.is_file())
            self._paths[module] = next(found, None)
        return self._paths[module]

    def closure(self, roots: Iterable[str]) -> frozenset[str]:
        """Return the modules that run when any of `roots` does, without those in `UNWATCHED`."""
        reached = set[str]()
        waiting = [root for root in roots if root not in UNWATCHED]
        while waiting:
            module = waiting.pop()
            if module not in reached:
                reached.add(module)
                waiting += [each for each in self.imports(module) if each not in UNWATCHED]
        return frozenset(reached)

    def imports(self, module: str) -> tuple[str, ...]:
        """Return our modules that a module imports, as `imported` does."""
        if module not in self._imports:
            self._imports[module] = tuple(dict.fromkeys(self.imported(self._tree(module))))
        return self._imports[module]

    def imported(self, tree: ast.AST) -> Iterator[str]:
        """Yield our modules that a piece of code imports, wherever in it; of a name handed on, the one that defines it.

        Raises
        ------
        ValueError
            For a relative import, which says nothing without its place.
        """
        for node in _statements(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if self.path(alias.name))
            elif isinstance(node, ast.ImportFrom):
                if node.level or node.module is None:
                    raise ValueError(f"expected absolute imports; found a relative one: {ast.unparse(node)}")
                yield from (self._origin(node.module, alias.name) for alias in node.names if self.path(node.module))

    def digests(self, roots: Iterable[str]) -> dict[str, str]:
        """Return the SHA-256 of each module's source, by module, for all that `closure` returns."""
        files = {module: self.path(module) for module in sorted(self.closure(roots))}
        return {module: hashlib.sha256(path.read_bytes()).hexdigest() for module, path in files.items() if path}

    def _origin(self, module: str, name: str) -> str:
        """Return the module that defines what `from module import name` gives."""
        if self.path(f"{module}.{name}"):
            return f"{module}.{name}"
        for node in self._tree(module).body:
            if isinstance(node, ast.ImportFrom) and node.module and self.path(node.module):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._origin(node.module, alias.name)
        return module

    def _tree(self, module: str) -> ast.Module:
        if module not in self._trees:
            path = self.path(module)
            if path is None:
                raise ValueError(f"expected a module of {', '.join(PACKAGES)} below {self._root}; found {module!r}.")
            self._trees[module] = ast.parse(path.read_bytes(), path.name)
        return self._trees[module]


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements below a node: imports are nothing else, and expressions are most of a tree."""
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        within = getattr(tree, block, ())
        for node in within if isinstance(within, list) else ():
            yield node
            yield from _statements(node)


@cache
def code_of(*roots: str) -> Mapping[str, str]:
    """Return the digests of the modules of this installation that run when any of `roots` does, by module."""
    return Sources(_ROOT).digests(roots)


_LIBRARIES = ("numpy", "scikit-learn", "skorch", "torch")


def training_cause(stage: str, facts: Mapping[str, Any], arrays: Sequence[NDArray[Any]], device: str) -> str:
    """Return a hexadecimal digest of what a model follows from.

    Parameters
    ----------
    stage : str
        The module that trains, such as stages.train.run: all code that runs with it counts.
    facts : mapping
        Plain JSON values: the recipe, and the digests of the matrices.
    arrays : sequence of ndarray
        Labels and parts of the rows.
    device : str
        Its kind counts, not its number. Versions of the libraries count as well.
    """
    cause = {
        "facts": facts,
        "arrays": [_digest(each) for each in arrays],
        "device": device.partition(":")[0],
        "libraries": {name: version(name) for name in _LIBRARIES},
        "code": code_of(stage),
    }
    return hashlib.sha256(canonical_json(cause)).hexdigest()


def _digest(array: NDArray[Any]) -> list[Any]:
    content = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return [array.dtype.str, list(array.shape), content]
