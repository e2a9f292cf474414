"""`diptych repeat TABLE.csv`: the whole pipeline once per seed, in a project that is put back as it was."""

from __future__ import annotations

import csv
import hashlib
import logging
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import paths
from pipeline.experiments.dvc_run import repro
from pipeline.forecast.watched import refuse_odd_files
from pipeline.journal.console import PlainTable, out
from pipeline.params.recipes import overlaid
from pipeline.params.sections import Params, load_params, validate_params
from pipeline.params.yaml_file import parse_yaml, read_text
from stages.contract import Progress, Tracker
from stages.models.catalog import did_you_mean
from store import atomic_output
from store.errors import InputError
from store.files.outputs import fresh_folder, safe_cell, write_json, write_lines, write_text
from store.results.cards import EntryCard

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


_MAIN = ("f1_macro", "accuracy", "mse", "jaccard_5", "random_jaccard", "top_1", "random_top_1", "cluster_accuracy")
Numbers = Mapping[str, float]


@dataclass
class Repetitions:
    """What the seeds gave so far.

    Attributes
    ----------
    targets : tuple of str
        Such as evaluate@text and retrieve@both.
    metrics : dict of int to (dict of str to numbers)
        By seed and target, the numbers of its card.
    lineage : dict of int to (dict of str to str)
        By seed, the digests of the params and of the dvc.lock that gave them.
    """

    targets: tuple[str, ...]
    metrics: dict[int, dict[str, Numbers]] = field(default_factory=dict)
    lineage: dict[int, dict[str, str]] = field(default_factory=dict)

    def rows(self) -> list[tuple[str, str, list[float]]]:
        """Return (target, metric, its values in the order of the seeds); a seed may lack one."""
        found: dict[tuple[str, str], list[float]] = {}
        for target in self.targets:
            for cards in self.metrics.values():
                for metric, value in cards[target].items():
                    found.setdefault((target, metric), []).append(value)
        return [(*key, values) for key, values in found.items()]


def repeat(table: Path, seeds: int, names: Sequence[str], progress: Progress) -> Repetitions:
    """Run experiments and retrieval systems with the seeds 0, 1, ..., and write `table` and a JSON beside it.

    Every seed of the pipeline becomes the one of the repetition: of the split and of all entries of `fit`, `fuse`,
    `train` and `retrieve`. `prepare` stays: the data set is the same. Both files are written anew after each seed. What
    has been run before is taken from DVC's run cache, so a killed call goes on where it was, and afterwards the
    project is as it was before.

    Parameters
    ----------
    table : Path
        The CSV to write: mean and sample deviation of every metric.
    seeds : int
        How many, at least 1.
    names : sequence of str
        Entries of `train` and `retrieve`; all when empty.
    progress : Progress
        Counts seeds.

    Raises
    ------
    InputError
        When params.yaml is wrong, has no such entries, or becomes wrong with another seed.
    RunError
        When a stage fails.
    """
    if table.suffix != ".csv":
        raise InputError(f"repeat: expected a table with the suffix .csv; found {table.name!r}; rename it.")
    recover()
    text, params = read_text(paths.PARAMS_FILE), load_params(paths.PARAMS_FILE)
    refuse_odd_files(Path(params.prepare.path))
    done = Repetitions(_targets(params, names))
    texts = [_with_seed(text, params, seed) for seed in range(seeds)]
    with borrowed_project(), progress.track("repeat", seeds) as tracker:
        for seed, changed in enumerate(texts):
            _run(seed, changed, done, tracker)
            _write(table, done, text)
            tracker.advance()
    return done


def _targets(params: Params, names: Sequence[str]) -> tuple[str, ...]:
    known: dict[str, Mapping[str, object]] = {"evaluate": params.train, "retrieve": params.retrieve}
    every = list(dict.fromkeys(name for section in known.values() for name in section))
    for name in names:
        if name not in every:
            near = did_you_mean(name, every)
            raise InputError(f"repeat: expected entries of train or retrieve; found {name!r}{near}; there are {every}.")
    return tuple(f"{verb}@{name}" for verb, section in known.items() for name in section if not names or name in names)


def _with_seed(text: str, params: Params, seed: int) -> str:
    """Return the text of params.yaml with every seed replaced."""
    overlay = {
        "split": {"seed": seed},
        "fit": {name: {"seed": seed} for name in params.fit},
        "fuse": {name: {"seed": seed} for name, entry in params.fuse.items() if entry.row.learns},
        "train": {name: {"seeds": [seed]} for name in params.train},
        "retrieve": {name: {"seed": seed} for name, entry in params.retrieve.items() if entry.clustering},
    }
    changed = overlaid(text, overlay)
    validate_params(parse_yaml(changed, paths.PARAMS_FILE), changed, paths.PARAMS_FILE)
    return changed


def _run(seed: int, text: str, done: Repetitions, tracker: Tracker) -> None:
    write_borrowed(text)
    repro(done.targets, paths.REPEATS / f"seed-{seed}.log", lambda stage: tracker.advance(0, f"seed {seed}: {stage}"))
    done.metrics[seed] = {target: EntryCard.read(paths.card(*target.split("@", 1))).numbers for target in done.targets}
    done.lineage[seed] = {"params": _digest(text.encode()), "lock": _digest(Path("dvc.lock").read_bytes())}


def _write(table: Path, done: Repetitions, text: str) -> None:
    with write_lines(table) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["stage", "name", "metric", "mean", "std", "seeds"])
        for target, metric, values in done.rows():
            spread = statistics.stdev(values) if len(values) > 1 else ""
            said = [safe_cell(each) for each in (*target.split("@", 1), metric)]
            writer.writerow([*said, statistics.fmean(values), spread, len(values)])
    seeds = {seed: {**done.lineage[seed], "metrics": cards} for seed, cards in done.metrics.items()}
    write_json(table.with_suffix(".json"), {"params": _digest(text.encode()), "seeds": seeds})


def print_table(done: Repetitions) -> None:
    """Print the main metrics for a terminal."""
    table = PlainTable("stage", "metric", numbers=("mean", "± seeds"))
    for target, metric, values in done.rows():
        if metric in _MAIN:
            spread = f"{statistics.stdev(values):.3f}" if len(values) > 1 else ""
            table.add_row(target, metric, f"{statistics.fmean(values):.3f}", spread)
    out.print(table)
