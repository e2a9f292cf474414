"""The command `diptych`: ten verbs as in dvc.yaml, and the questions one asks before and after a run."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from pipeline import paths
from pipeline import wiring as plumbing
from pipeline.commands import compare, export_app, search
from pipeline.experiments import repeat as repetitions
from pipeline.experiments import sweep as tables
from pipeline.forecast.plan import make_plan, print_plan
from pipeline.journal import status as state
from pipeline.journal.console import ConsoleProgress, err, out, print_json, spell_out
from pipeline.journal.help import App
from pipeline.machine import doctor as machine
from pipeline.params import catalog as catalogs
from pipeline.params import recipes as overlays
from pipeline.params.sections import load_params
from pipeline.paths import told_of_copy
from pipeline.storage.cli import store_app
from pipeline.verbs import Session, run_verb
from store.errors import DiptychError

app = App(
    name="diptych",
    help="Embed images and texts once into a feature store; train, evaluate and retrieve from the cache.\n\n"
    "`dvc repro` runs these verbs in order and reruns only what changed. By hand: `diptych plan` says what a run "
    "would do, `diptych embed caption-use` runs one entry of params.yaml.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(store_app, name="store")
app.add_typer(export_app, name="export")

Entry = Annotated[str | None, typer.Argument(help="Entry of the section in params.yaml; all entries when left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Try contents again that failed before and are remembered.")
]
AllowSplitMismatch = Annotated[
    bool, typer.Option("--allow-split-mismatch", help="Embed with an encoder that was fitted on other train rows.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check everything, say what is there, make a contact sheet; write no output.")
]
Rows = Annotated[
    int | None, typer.Option("--rows", metavar="N", min=1, help="With --dry-run: look at the first rows only.")
]
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_STAGES = "Stages, in the order of a run"


@app.callback()
def common(
    log_json: Annotated[
        Path | None, typer.Option("--log-json", metavar="FILE", help="Append the structured log of this run here too.")
    ] = None,
) -> None:
    """Take the options that stand before the command."""
    if log_json is not None:
        # In the environment, so that it also reaches the `dvc repro` that `repeat` starts, and its stages.
        os.environ["DIPTYCH_LOG_JSON"] = str(log_json.absolute())


@app.command(rich_help_panel=_STAGES, epilog="Example: diptych prepare --dry-run --rows 1000")
def prepare(dry_run: DryRun = False, rows: Rows = None) -> None:
    """Read the source, write one manifest row per item, list what was rejected and why."""
    if rows is not None and not dry_run:
        raise typer.BadParameter("expected --rows beside --dry-run; prepare.limit in params.yaml cuts a real run short")
    if dry_run:
        from pipeline.forecast.dry_run import preview_data

        preview_data(rows)
    else:
        run_verb("prepare", None)


@app.command(rich_help_panel=_STAGES)
def split() -> None:
    """Assign every item to train, dev or test; a group never straddles."""
    run_verb("split", None)


@app.command(rich_help_panel=_STAGES, epilog="Example: diptych fit words")
def fit(name: Entry = None) -> None:
    """Train an encoder on the train rows; a killed run resumes after its last saved epoch."""
    run_verb("fit", name)


@app.command(rich_help_panel=_STAGES, epilog="Example: diptych embed caption-minilm")
def embed(
    name: Entry = None, retry_failed: RetryFailed = False, allow_split_mismatch: AllowSplitMismatch = False
) -> None:
    """Encode what the feature store lacks, then write the matrix aligned to the data set."""
    run_verb("embed", name, retry_failed=retry_failed, allow_split_mismatch=allow_split_mismatch)


@app.command(rich_help_panel=_STAGES, epilog="Example: diptych reduce caption-pca")
def reduce(name: Entry = None) -> None:
    """Project a matrix onto fewer dimensions, fitted on train."""
    run_verb("reduce", name)


@app.command(rich_help_panel=_STAGES, epilog="Example: diptych fuse both")
def fuse(name: Entry = None) -> None:
    """Join several matrices into one, without labels."""
    run_verb("fuse", name)


@app.command(rich_help_panel=_STAGES, epilog="Example: diptych train attention")
def train(name: Entry = None) -> None:
    """Train an experiment's fusion and head on cached features, once per seed."""
    run_verb("train", name)


@app.command(rich_help_panel=_STAGES, epilog="Example: diptych evaluate attention")
def evaluate(name: Entry = None) -> None:
    """Turn an experiment's predictions into metrics and tables."""
    run_verb("evaluate", name)


@app.command(rich_help_panel=_STAGES, epilog="Example: diptych retrieve by-image")
def retrieve(name: Entry = None) -> None:
    """Rank nearest neighbours and score the ranking."""
    run_verb("retrieve", name)


@app.command(rich_help_panel=_STAGES)
def report() -> None:
    """Write report/index.html and report/leaderboard.csv from all metrics."""
    run_verb("report", None)


@app.command(hidden=True)
def wire(verb: Annotated[str, typer.Argument(help="embed, fuse, train or retrieve.")]) -> None:
    """Write the digests that the entries of a section depend on (called by dvc.yaml)."""
    wired = plumbing.wire(verb, Session.open().params)
    out.print(f"wire {verb}: {len(wired)} entries", markup=False)


@app.command()
def plan(as_json: AsJson = False) -> None:
    """Before a run: vectors cached, missing and failed per encoder, time to expect, and the stages that will follow."""
    session = Session.open()
    made = make_plan(session.params, session.settings, session.progress)
    print_json(made.as_dict()) if as_json else print_plan(made)


@app.command(epilog="Example: diptych catalog fusions attention")
def catalog(
    kind: Annotated[str, typer.Argument(help="encoders, fitters, fusions, heads, sources or recipes.")],
    name: Annotated[str, typer.Argument(help="One of them: its options, their defaults and meanings.")] = "",
    as_json: AsJson = False,
) -> None:
    """List what params.yaml may name, or describe one of it."""
    if name:
        found = catalogs.entry(kind, name)
        print_json(found) if as_json else catalogs.print_entry(found)
        return
    rows = catalogs.rows(kind)
    print_json(rows) if as_json else catalogs.print_rows(kind, rows)


@app.command(epilog="Example: diptych recipe coco --check")
def recipe(
    name: Annotated[str, typer.Argument(help="A file of recipes/, without .yaml.")],
    check: Annotated[bool, typer.Option("--check", help="Validate and show the change; write nothing.")] = False,
) -> None:
    """Lay a recipe over params.yaml: show the change, validate it, write it."""
    os.chdir(paths.find_root(Path.cwd()))
    overlays.apply(name, write=not check)


@app.command(epilog="Example: diptych sweep sweeps/heads.yaml")
def sweep(
    grid: Annotated[Path, typer.Argument(help="A YAML file: features, fusion, head, base, vary.")],
) -> None:
    """Train and evaluate a grid of experiments from the cached features; write one table with intervals beside it.

    GRID.yaml lists what is crossed: `features: [[caption-minilm, image-lite0]]`, `fusion: [concat, attention, late]`,
    `head: [mlp, svm]`, `base: {scale: standard, seeds: [0, 1, 2]}`, and in `vary` further options with their values.
    Impossible combinations are told and left out; what was tried before is not tried again.
    """
    grid = grid.resolve()  # before the session goes to the project's root
    tables.print_table(tables.sweep(grid, Session.open()))


@app.command(epilog="Example: diptych repeat table.csv --seeds 10 gated-knn gated-svm")
def repeat(
    table: Annotated[Path, typer.Argument(help="The CSV to write; a JSON with the values per seed goes beside it.")],
    names: Annotated[
        list[str] | None, typer.Argument(help="Entries of train and retrieve; all of them when left out.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many repetitions; their seeds are 0, 1, ...")
    ] = 10,
) -> None:
    """Run the whole pipeline once per seed; write mean and sample deviation of every metric.

    Split, fitting, fusions, experiments and retrieval are drawn anew with each seed. What was run before comes from
    DVC's run cache: a killed call goes on where it was. Afterwards params.yaml and the outputs are as they were before.
    """
    table = table.resolve()
    os.chdir(paths.find_root(Path.cwd()))
    repetitions.print_table(repetitions.repeat(table, seeds, names or [], ConsoleProgress()))


app.command(epilog="Example: diptych compare caption-minilm caption-use -k 1 -k 10")(compare)
app.command(epilog='Example: diptych search --image cat.jpg --text "a cat on a sofa" -k 10 --html found.html')(search)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Say what is there: the store, the last run of every entry, outputs that are missing, the last failures.

    Looks at names and small files only, and says of a project that has not run yet what it lacks. What a change of
    params.yaml would run is told by `diptych plan`.
    """
    found = state.look()
    print_json(found.as_dict()) if as_json else state.print_status(found)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has: versions, processor, device, memory, disk, weights, store; exit 1 if a part is bad."""
    found = machine.examine()
    print_json([each.as_dict() for each in found]) if as_json else machine.print_findings(found)
    if not all(each.good for each in found):
        raise typer.Exit(1)


@app.command(hidden=True)
def params() -> None:
    """Validate params.yaml and print it as JSON with every default filled in."""
    os.chdir(paths.find_root(Path.cwd()))
    print_json(load_params(paths.PARAMS_FILE).model_dump(mode="json"))


def _tell_of_copy() -> None:
    if told := told_of_copy(Path.cwd(), os.environ):
        err.print(f"note: {told}", markup=False)


def _terminate(signum: int, frame: object) -> NoReturn:  # noqa: ARG001 (the signature of a handler)
    # As an exception, so that `finally` blocks commit finished rows and remove temporary files; a second signal must
    # not end them half-way.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + signum)


def main() -> None:
    """Run the command line; wrong input exits 2, a failed run 1, an interrupt 130, a signal to end 143 (129)."""
    # OpenMP's threads spin while they wait. Beside another job that takes the other's core away: training beside a
    # second run took minutes instead of 20 s. It must be set before torch is imported; the environment wins.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    spell_out()
    for each in _SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN:  # behind `nohup` a closed terminal is nothing
            signal.signal(each, _terminate)
    try:
        app(standalone_mode=True)
    except DiptychError as error:
        err.print(f"error: {error}", markup=False, style="red")
        _tell_of_copy()
        sys.exit(error.exit_code)
    except OSError as error:  # a full disk, a folder that may not be written: no fault of the code
        err.print(f"error: expected to read and write here; found: {error}; make room or mend it.", markup=False)
        _tell_of_copy()
        sys.exit(1)
    except SystemExit as end:
        if isinstance(end.code, int) and end.code > 128:  # Typer gives Ctrl-C its 130
            err.print("stopped: what was finished is kept (entries, rows, epochs); the same command does the rest")
        raise
