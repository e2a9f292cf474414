"""`diptych doctor`: what this machine has, part by part, with what to do about each part that is bad."""

from __future__ import annotations

import configparser
import contextlib
import getpass
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.forecast.watched import refuse_odd_files
from pipeline.journal.console import out
from pipeline.machine.processor import told_instructions, told_openvino, told_threads
from pipeline.machine.settings import load_settings
from pipeline.params.sections import load_prepare
from pipeline.paths import out_of_reach
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.catalog.row import UNPUBLISHED, EncoderChoice, EncoderRow
from stages.models.encoders.running.engines import resolve_device
from stages.models.encoders.weights import is_fetched, is_hub_id
from store import FeatureStore, exposure, foreign_owner
from store.errors import DiptychError, InputError


def told_user() -> str:
    """Return the name of who runs this.

    Raises
    ------
    InputError
        Where the system knows none, as in a container under a foreign user id: `dvc` ends there.
    """
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        raise InputError(
            f'expected a name for user id {os.getuid()}, found no passwd entry: DVC ends with "getpwuid(): uid not '
            'found"; set USER to any name (`export USER=me`, `docker run -e USER=me`), or add an entry to /etc/passwd'
        ) from None


def told_home() -> str:
    """Return the home folder.

    Raises
    ------
    InputError
        Where there is none: caches of models and of DVC have no place.
    """
    try:
        return str(Path.home())
    except RuntimeError:
        raise InputError(
            "expected a home folder, found none; set HOME to a folder that you may write (`export HOME=/tmp/me`)"
        ) from None


def told_git(root: Path) -> str:
    """Return the root of the git repository that a project stands in.

    Raises
    ------
    InputError
        Where there is none and DVC was not told so.
    """
    there = next((each for each in (root, *root.parents) if (each / ".git").exists()), None)
    if there is not None:
        return str(there)
    if _without_git(root):
        return "none, which .dvc/config allows: no experiments, no `diptych repeat`"
    raise InputError(
        f'expected a git repository at {root} or above, found no .git: DVC ends with "is not a git repository"; '
        "clone the project in place of copying it, or begin one with `git init` (to do without git: "
        "`dvc config core.no_scm true`)"
    )


def _without_git(root: Path) -> bool:
    config = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        config.read([root / ".dvc/config", root / ".dvc/config.local"], "utf-8")
        return config.getboolean("core", "no_scm", fallback=False)
    except (configparser.Error, ValueError):
        return False


_PACKAGES = (
    "torch",
    "transformers",
    "timm",
    "scikit-learn",
    "gensim",
    "opencv-python-headless",
    "zarr",
    "h5py",
    "numpy",
    "pyarrow",
    "dvc",
)
_LOW_DISK = 5e9


@dataclass(frozen=True)
class Finding:
    """One part of the machine: whether it is good, what was found, and the remedy when it is not.

    `absent` is what is not here and stops nothing until params.yaml asks for it, such as weights on a hub.
    """

    name: str
    good: bool
    found: str
    remedy: str = ""
    absent: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at every part; one that fails is a finding, never an exception."""
    with contextlib.suppress(InputError):  # outside a project that is a finding too, see _project
        os.chdir(paths.find_root(Path.cwd()))
    return [
        finding
        for look in (_python, _packages, _account, _processor, _disk, _project, _data, _store, _weights)
        for finding in look()
    ]


def print_findings(found: list[Finding]) -> None:
    """Print one line per finding."""
    for each in found:
        mark, style = ("BAD", "red") if not each.good else ("-  ", "yellow") if each.absent else ("ok ", "green")
        out.print(f"[{style}]{mark}[/{style}] {each.name}: ", end="")
        out.print(each.found + (f" -> {each.remedy}" if each.remedy else ""), markup=False)


def _python() -> Iterator[Finding]:
    yield Finding("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> Iterator[Finding]:
    for name in _PACKAGES:
        try:
            yield Finding(name, True, version(name))
        except PackageNotFoundError:
            yield Finding(name, False, "not installed", "run `make repro`, or pip install -e . -c constraints.txt")


def _account() -> Iterator[Finding]:
    yield _try("user", told_user)
    yield _try("home", told_home)


def _processor() -> Iterator[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    yield Finding("processor", True, f"{os.cpu_count()} cores, {memory:.0f} GB of memory")
    yield Finding("instructions", True, told_instructions())
    yield _try("device", lambda: resolve_device(load_settings(paths.LOCAL_FILE, os.environ).device))
    yield _try("torch threads", told_threads)
    yield Finding("openvino", True, told_openvino())


def _disk() -> Iterator[Finding]:
    yield _free("disk", Path.cwd())
    with contextlib.suppress(InputError, OSError):  # wrong settings, or a store out of reach, are found below
        store = load_settings(paths.LOCAL_FILE, os.environ).store
        there = Path(store).expanduser().absolute()
        there = next(each for each in (there, *there.parents) if each.exists())
        if "://" not in store and there.stat().st_dev != Path.cwd().stat().st_dev:
            yield _free("store disk", there)


def _free(name: str, place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    return Finding(
        name, free > _LOW_DISK, f"{free / 1e9:.0f} GB free at {place}", "" if free > _LOW_DISK else "make room"
    )


def _project() -> Iterator[Finding]:
    yield _try("project", lambda: str(paths.find_root(Path.cwd())))
    with contextlib.suppress(InputError):  # said by the line above
        root = paths.find_root(Path.cwd())
        yield _try("git", lambda: told_git(root))
        yield from _experiments(load_prepare(paths.PARAMS_FILE)[0].path, root)
    found = shutil.which("diptych")
    remedy = "" if found else "activate the environment: `source .venv/bin/activate`"
    yield Finding("command", found is not None, found or "DVC would not find `diptych`", remedy)


def _experiments(path: str, root: Path) -> Iterator[Finding]:
    if out_of_reach(path, root):
        found = f"prepare.path leads out of the project: `dvc exp run --temp` and `--queue` do not find {path}"
        yield Finding("experiments", True, found, "write it in full for them, docs/team.md says how", absent=True)


def _data() -> Iterator[Finding]:
    with contextlib.suppress(InputError, OSError):  # no project, or wrong params, which every command tells
        path = Path(load_prepare(paths.PARAMS_FILE)[0].path)
        yield _try("data", lambda: _readable(path))
    with contextlib.suppress(InputError):  # wrong settings are found above
        for root in load_settings(paths.LOCAL_FILE, os.environ).trusted_roots:
            there = Path(root).is_dir()
            remedy = "" if there else "mount it, or take it out of trusted_roots"
            yield Finding("trusted root", there, root if there else f"no folder {root}", remedy)


def _readable(path: Path) -> str:
    refuse_odd_files(path)
    return f"{path}, regular files only" if path.exists() else f"no {path} yet"


def _store() -> Iterator[Finding]:
    opened: list[FeatureStore] = []

    def probe() -> str:
        store = load_settings(paths.LOCAL_FILE, os.environ).feature_store("zarr.zip")
        opened.append(store)
        store.backend.probe_writable("v1")
        return f"{store.address} (writable)"

    yield _try("store", probe)
    for store in opened:
        yield from _store_access(store)


def _store_access(store: FeatureStore) -> Iterator[Finding]:
    if exposed := exposure(store.backend):
        found, _, remedy = exposed.rpartition("; ")
        yield Finding("store access", False, found, remedy)
    if (uid := foreign_owner(store.backend)) is not None:
        # Usual where a team shares a folder, so nothing bad; who trusts only some writers should know all the same.
        yield Finding("store owner", True, f"uid {uid}, who may replace everything in it unless segments are signed")


def _weights() -> Iterator[Finding]:
    if not _try("home", told_home).good:
        return  # the hub cannot tell where its models are, and `_account` has said so
    for row in (each for each in ENCODERS.values() if not each.fitted):  # those are made here, by `fit`
        name, lacking = f"encoder {row.name}", _lacking(row)
        if lacking:
            yield Finding(name, True, f"{row.dim}-d, {lacking}", absent=True)
        else:
            yield _try(name, partial(_located, row))


def _lacking(row: EncoderRow) -> str:
    """Say what an encoder lacks until somebody gives it weights or the hub is asked, which is not done here; or ""."""
    if row.model == UNPUBLISHED:
        return "weights on no hub: give `model:`"
    on_hub = row.model != "none" and is_hub_id(row.model)
    if on_hub and not is_fetched(row.model, row.revision):
        return f"needs the model hub: {row.model} is not on this machine yet"
    return ""


def _located(row: EncoderRow) -> str:
    """Say where the weights of an encoder that has some come from."""
    if row.model == "none":
        return f"{row.dim}-d, needs no weights"
    if row.model == "random":
        return f"{row.dim}-d, random weights only; give `model:` for others"
    if is_hub_id(row.model):
        return f"{row.dim}-d, weights found in the cache of the model hub: {row.model}"
    return f"{row.build(EncoderChoice()).dim}-d, weights found: {row.model}"


def _try(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, look())
    except (DiptychError, OSError) as error:
        return Finding(name, False, str(error))
