"""Times real ``dvc`` processes in a clone of this working tree: a data set that grows, and a run with nothing to do.

``python -m benchmarks --only repro`` prints what `measure` returns. The clone has params, results and a store of its
own and is thrown away; what is timed is always the whole process, with DVC and Python starting up.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.timing import Row, against
from pipeline.params.yaml_file import read_yaml

_ROOT = Path(__file__).parents[1]
_DVC = (sys.executable, "-m", "dvc")
_GIT = ("git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost")
_FEW = 5  # items: so many that every encoder finds a new one among them and starts up as for more
_LIBRARIES = "import jinja2, matplotlib.figure, pyarrow.parquet, pydantic, ruamel.yaml, typer"


@dataclass(frozen=True)
class Said:
    """One command that went well: seconds by the clock, and what it printed."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Work:
    """What `embed` says of its last run, over all encoders: rows computed, seconds for them, seconds to load models.

    `encoders` counts those that computed any.
    """

    rows: int
    seconds: float
    load: float
    encoders: int


class Clone:
    """The tracked files of the working tree as they are now, under git and DVC, in a folder of its own.

    Parameters
    ----------
    folder : Path
        Empty, or not there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DIPTYCH_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        self._environment = {**kept, "PATH": path, "PYTHONPATH": str(folder)}
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=_ROOT, check=True, capture_output=True, text=True)  # noqa: S607
        for name in filter(None, listed.stdout.split("\0")):
            if (_ROOT / name).is_file():  # a file may be deleted and not yet committed
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes((_ROOT / name).read_bytes())
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "start"]):
            self.call(*_GIT, *words)

    def call(self, *command: str) -> Said:
        """Run a command until it ends; `SystemExit` when it fails."""
        start = time.perf_counter()
        done = subprocess.run(  # noqa: S603 (our own commands)
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"expected {' '.join(command)} to succeed, found: {done.stdout}{done.stderr}")
        return Said(seconds, done.stdout)

    def dvc(self, *words: str) -> Said:
        """Run DVC."""
        return self.call(*_DVC, *words)

    def ask(self, params: dict[str, Any]) -> None:
        """Write params.yaml."""
        with (self.folder / "params.yaml").open("w", encoding="utf-8") as stream:
            YAML(typ="safe").dump(params, stream)

    def forget(self) -> None:
        """Remove what the encoders said of their runs: one that computes nothing would leave what it said before."""
        for file in self._said():
            file.unlink()

    def work(self) -> Work:
        """Add up what the encoders' runs took since `forget`; one that computed nothing has no rate."""
        said = [json.loads(file.read_text("utf-8")) for file in self._said()]
        cards = [card for card in said if card["new"]]
        seconds = sum(card["new"] / card["rate"] for card in cards)
        load = sum(card["seconds"]["load"] for card in cards)
        return Work(sum(card["new"] for card in cards), seconds, load, len(cards))

    def _said(self) -> list[Path]:
        files = (self.folder / ".diptych" / "runs").glob("embed-*.json")
        return [file for file in files if not file.name.endswith(".time.json")]


def measure(
    items: int = 6_000, growths: int = 2, finished: int = 600, turns: int = 3, *, light: bool = False
) -> list[Row]:
    """Run everything in one clone.

    Parameters
    ----------
    items : int
        Scenes of the data set, before it grows by one in a hundred (by one at least).
    growths : int
        How often it grows, by a few and by one in a hundred; the quickest of each counts.
    finished : int
        Scenes of the pipeline that is finished and has nothing to do.
    turns : int
        How often the runs with nothing to do are timed.
    light : bool
        Count words and colours where the default pipeline has networks, and train one experiment: seconds, for tests.

    Returns
    -------
    list of dict
        With name, subject, peer, ratio (subject / peer), subject_value, peer_value, unit (s: less is better) and note.
    """
    with tempfile.TemporaryDirectory() as folder:
        clone = Clone(Path(folder) / "clone")
        params = asked(read_yaml(_ROOT / "params.yaml"), light=light)
        growing = _growing(clone, params, items, growths)
        params["prepare"]["scenes"]["items"] = finished
        clone.ask(params)
        return [*growing, *_nothing_to_do(clone, turns), *_page(clone)]


def asked(params: dict[str, Any], *, light: bool) -> dict[str, Any]:
    """Return the params with every stage, and with no more to compute in the later ones than makes their files."""
    if light:
        params["embed"] = {
            "caption-minilm": {"encoder": "hash", "field": "caption"},
            "image-lite0": {"encoder": "colorhist", "field": "image"},
        }
        params |= {"reduce": {}, "train": {"dummy": params["train"]["dummy"]}}
    for experiment in params["train"].values():
        short = {"seeds": [0], "epochs": 1, "patience": 1}
        experiment |= {name: value for name, value in short.items() if name in experiment}
    params["evaluate"] |= {"missing": None, "tsne": None}
    return params


def _growing(clone: Clone, params: dict[str, Any], items: int, growths: int) -> list[Row]:
    """Embed, then grow by a few and by one in a hundred and embed again."""
    percent = max(1, items // 100)
    full = _embed(clone, params, items)
    all_work = clone.work()
    few, many, now = [], [], items
    for _ in range(growths):
        few.append((_embed(clone, params, now := now + _FEW), clone.work()))
        many.append((_embed(clone, params, now := now + percent), clone.work()))
    if min(work.encoders for _, work in few) < len(params["embed"]):
        raise SystemExit(f"expected {_FEW} more items to start up every encoder; found less; raise _FEW")
    (start_up, _), (grown, new_work) = (min(each, key=lambda run: run[0]) for each in (few, many))
    names = ", ".join(entry["encoder"] for entry in params["embed"].values())
    size_told = f"`dvc repro embed` ({names}), {items} items and {percent} more, the quickest of {growths}"
    told = (
        f"{size_told}; start-up {start_up:.1f} s, that of {_FEW} more, likewise, of which {new_work.load:.1f} s load "
        f"the models; {items} items at first {full:.1f} s"
    )
    peer, rows = "naive re-embedding", f"encoding all {all_work.rows} rows"
    bound = f"2 % of {full:.1f} s + start-up"
    note = f"{size_told}; {new_work.rows} rows are new; models loaded, from the first read to the last row committed"
    return [
        *against(
            peer,
            {"repro.grow": grown, peer: full},
            "s",
            f"{told}, which is the peer: without our store DVC would do it again",
        ),
        *against(rows, {"repro.grow.rows": new_work.seconds, rows: all_work.seconds}, "s", note),
        *against(bound, {"repro.grow.bound": grown, bound: 0.02 * full + start_up}, "s", told),
    ]


def _embed(clone: Clone, params: dict[str, Any], items: int) -> float:
    """Return the seconds of the embed stages once the items are prepared; DVC may not fetch them from its run cache."""
    params["prepare"]["scenes"]["items"] = items
    clone.ask(params)
    clone.dvc("repro", "prepare", "wire@embed")
    clone.forget()
    return clone.dvc("repro", "--no-run-cache", "embed").seconds


def _nothing_to_do(clone: Clone, turns: int) -> list[Row]:
    """Finish the pipeline, then ask DVC by turns for its status and for a run."""
    clone.dvc("repro")
    commands = {"dvc status": ("status",), "repro.noop": ("repro",)}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    stages = 0
    for _ in range(turns):
        for name, words in commands.items():
            said = clone.dvc(*words)
            if "up to date" not in said.text:
                raise SystemExit(f"expected nothing to do for {name}, found: {said.text}")
            seconds[name].append(said.seconds)
            stages = max(stages, said.text.count("didn't change"))
    note = (
        f"the default pipeline when it is done (with one seed and one epoch): {stages} stages, none of which runs; "
        f"median of {turns} turns"
    )
    return against("dvc status", {name: statistics.median(times) for name, times in seconds.items()}, "s", note)


def _page(clone: Clone) -> list[Row]:
    """Write the report again, beside a Python that only imports what it draws and reads with."""
    bare = min(clone.call(sys.executable, "-c", _LIBRARIES).seconds for _ in range(2))
    page = min(clone.call("diptych", "report").seconds for _ in range(2))
    peer = "importing its libraries"
    note = "`diptych report` of the pipeline of `repro.noop`, the better of two"
    return against(peer, {"report.page": page, peer: bare}, "s", note)
