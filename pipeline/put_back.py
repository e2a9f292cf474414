"""Borrow the project for runs with other params and put it back as it was; `repeat` runs its seeds in here."""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import paths
from stages.outputs import fresh_folder, write_text
from store import atomic_output

_LOCK = Path("dvc.lock")
_LAST = "last.sha256"  # of the params that were written in place of the borrowed ones
_LOG = logging.getLogger("diptych.repeat")


@contextmanager
def borrowed_project() -> Iterator[None]:
    """Keep params.yaml, dvc.lock and the cards of all metrics, and put them back however the block ends.

    What the lock names is checked out again from DVC's cache; no stage runs. Without a lock the outputs of the block
    stay where they are: the next `dvc repro` takes them for what they are not, sees that, and replaces them.
    """
    root = Path.cwd()
    _keep(root)
    try:
        yield
    finally:
        _put_back(root)


def write_borrowed(text: str) -> None:
    """Write other params in place of the borrowed ones."""
    (paths.BORROWED / _LAST).write_text(_digest(text.encode()), "ascii")
    write_text(paths.PARAMS_FILE, text)


def recover() -> None:
    """Put back what a run that was killed outright had borrowed, unless params.yaml was edited since."""
    if not paths.BORROWED.is_dir():
        return
    last, found = paths.BORROWED / _LAST, _digest(paths.PARAMS_FILE.read_bytes())
    if last.is_file() and last.read_text("ascii") == found:
        _LOG.warning("repeat: an earlier call was killed: params.yaml and dvc.lock are put back as they were before it")
        _put_back(Path.cwd())
        return
    if _digest((paths.BORROWED / paths.PARAMS_FILE).read_bytes()) != found:
        aside = paths.BORROWED.with_name("params-before.yaml")
        shutil.copy2(paths.BORROWED / paths.PARAMS_FILE, aside)
        _LOG.warning("repeat: an earlier call was killed and params.yaml edited since: it stays; before: %s", aside)
    shutil.rmtree(paths.BORROWED)


def _keep(root: Path) -> None:
    with fresh_folder(root / paths.BORROWED) as folder:
        for path in _borrowed_files(root):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path, folder / path)


def _borrowed_files(root: Path) -> list[Path]:
    """Return the files below a root that are kept, relative to it."""
    return [paths.PARAMS_FILE, *([_LOCK] if (root / _LOCK).is_file() else []), *_cards(root)]


def _cards(root: Path) -> list[Path]:
    return [path.relative_to(root) for path in sorted((root / paths.METRICS).rglob("*.json"))]


def _put_back(root: Path) -> None:
    kept = _borrowed_files(root / paths.BORROWED)
    for path in kept:
        with atomic_output(root / path) as temporary:
            shutil.copy2(root / paths.BORROWED / path, temporary)
    # Only after all is back, and only what was made meanwhile.
    for path in {_LOCK, *_cards(root)} - set(kept):
        (root / path).unlink(missing_ok=True)
    if _LOCK in kept:
        _check_out(root)
    else:
        _LOG.warning("repeat: there was no dvc.lock to go back to; `dvc repro` makes the outputs of params.yaml")
    shutil.rmtree(root / paths.BORROWED)


def _check_out(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "checkout", "--force", "--quiet"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        _LOG.warning("repeat: not all outputs could be checked out again; `dvc repro` makes them (%s)", said)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
