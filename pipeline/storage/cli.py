"""`diptych store ls | stats | verify | explain`: look at the feature store; `store_care_cli` changes it."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import paths
from pipeline.journal.console import ConsoleProgress, PlainTable, err, out, print_json
from pipeline.journal.help import App
from pipeline.storage import care
from pipeline.storage.explain import explain
from pipeline.storage.opening import open_store
from pipeline.storage.sharing import sign_app, transfer_app
from pipeline.verbs import Session
from store import FeatureStore, StoreError, conflicts, list_encoders, open_matrix, stats, verify
from store.errors import InputError

store_app = App(help="Look at the feature store, check it and take care of it.", no_args_is_help=True)
store_app.add_typer(sign_app)
store_app.add_typer(transfer_app)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@store_app.command("ls")
def list_(as_json: AsJson = False) -> None:
    """List the encoders in the store with their rows and segments."""
    rows = list_encoders(open_store())
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    table = PlainTable("encoder", "fingerprint", numbers=("dim", "dtype", "segments", "rows", "MB"))
    for row in rows:
        size = f"{row.bytes / 1e6:.1f}"
        table.add_row(
            row.encoder, row.fingerprint[:16], str(row.dim), row.dtype, str(row.segments), str(row.rows), size
        )
    out.print(table)


@store_app.command("stats")
def stats_(as_json: AsJson = False) -> None:
    """Print the sums over all encoders, and the shape of each matrix of this project."""
    found = asdict(stats(open_store()))
    matrices = [_described(path) for path in _matrix_files()]
    if as_json:
        print_json({**found, "matrices": matrices})
        return
    out.print(", ".join(f"{name} {value}" for name, value in found.items()), markup=False)
    for each in matrices:
        shape = f"{each['rows']} x {each['dim']}" if each["sound"] else "damaged or not ours"
        out.print(f"{each['path']}: {shape}", markup=False)


def _matrix_files() -> list[Path]:
    found = (path for verb in paths.PRODUCERS for path in (paths.DATA / verb).glob("*"))
    return sorted(path for path in found if path.name.endswith((".zarr.zip", ".h5")))


def _described(path: Path) -> dict[str, Any]:
    try:
        matrix = open_matrix(path, verify=False)
    except StoreError as error:
        err.print(str(error), markup=False, style="red")
        return {"path": str(path), "rows": 0, "dim": 0, "sound": False}
    return {"path": str(path), "rows": len(matrix), "dim": matrix.dim, "sound": True}


@store_app.command("verify", epilog="Example: diptych store verify --rows --conflicts --reencode 0.1%")
def verify_(
    rows: Annotated[bool, typer.Option("--rows", help="Check every row's digest too, not only whole files.")] = False,
    conflicts_: Annotated[
        bool, typer.Option("--conflicts", help="Compare the vectors that several segments hold for one key.")
    ] = False,
    reencode: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Encode a random share again and compare, such as 0.1%.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of the sample of --reencode; another one each time.")
    ] = None,
) -> None:
    """Check every segment against its name; exit 1 and name what is damaged."""
    share = _share(reencode) if reencode is not None else None
    store = open_store()
    bad = _tell_damage(store, rows)
    if conflicts_:
        bad += _tell_conflicts(store)
    if share is not None:
        bad += _tell_audits(share, secrets.randbelow(2**31) if seed is None else seed)
    if bad:
        raise typer.Exit(1)
    found = stats(store)
    out.print(f"{found.segments} segments with {found.rows} rows are sound", markup=False)


def _tell_damage(store: FeatureStore, rows: bool) -> int:
    with ConsoleProgress().track("verify", stats(store).segments) as bar:
        problems = verify(store, rows=rows, tick=bar.advance)
    for problem in problems:
        inner = f"segments/{problem.segment}" if problem.segment else "encoder.json"
        path = store.backend.shown(f"{problem.encoder_folder}/{inner}")
        err.print(f"{path}: {problem.what}", markup=False, style="red")
    return len(problems)


def _tell_conflicts(store: FeatureStore) -> int:
    found = conflicts(store)
    for each in found:
        where = " and ".join(each.segments)
        worst = f"lowest cosine {each.cosine:.6f}, key {each.key}"
        line = f"{each.encoder_folder}: {each.rows} rows differ in {where}; {worst}"
        if each.tolerated:
            out.print(f"{line}: rounding", markup=False)
        else:
            remedy = "too far for one encoder: look for wrong hardware or weights, then remove the wrong segment"
            err.print(f"{line}: {remedy}", markup=False, style="red")
    return sum(not each.tolerated for each in found)


def _tell_audits(share: float, seed: int) -> int:
    from stages.embed.audit import AuditSettings, audit
    from store.items.manifest import Manifest

    session = Session.open()
    store = session.settings.feature_store(session.params.store.format)
    settings = AuditSettings(share, seed, session.settings.device, session.settings.engine, session.settings.workers)
    manifest, wrong = Manifest.open(paths.MANIFEST), 0
    for name, entry in session.params.embed.items():
        if not paths.is_fitted(entry.fit):
            out.print(f"{name}: its encoder is not fitted yet, so it has no rows", markup=False)
            continue
        found = audit(entry, manifest, store, settings, session.progress, paths.fitted(entry.fit))
        wrong += len(found.wrong) + (found.stored > 0 and not found.checked)
        failed = f", {found.failed} could not be read" if found.failed else ""
        out.print(
            f"{name}: {found.checked} of {found.stored} rows encoded again (seed {seed}), lowest cosine "
            f"{found.lowest:.6f}{failed}",
            markup=False,
        )
        for item, cosine in found.wrong:
            err.print(
                f"{name}: the stored vector of {item!r} is another one (cosine {cosine:.6f}, expected at least "
                f"{found.limit}); find its segment with `diptych store explain {item}`",
                markup=False,
                style="red",
            )
    return wrong


def _share(text: str) -> float:
    """Read 0.1% or 0.001."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise InputError(f"expected a share such as 0.1% or 0.001; found {text!r}")
    return share


@store_app.command("explain", epilog="Example: diptych store explain 000123")
def explain_(
    item: Annotated[str, typer.Argument(help="The id of an item, or a key of 64 hexadecimal digits.")],
    as_json: AsJson = False,
) -> None:
    """Say which vectors the store holds for an item, and why one that is wanted is missing."""
    session = Session.open()
    found = explain(item, session.params, session.settings)
    if as_json:
        print_json([asdict(each) for each in found])
        return
    for each in found:
        out.print(f"{each.wanted}: {each.verdict}", markup=False)
        for line in each.details:
            out.print(f"  {line}", markup=False)


care.register(store_app)
