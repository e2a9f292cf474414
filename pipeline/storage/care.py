"""`diptych store repair | compact | gc | restore`: what changes the store; a dry run unless `--apply` is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from pipeline import paths
from pipeline.journal.console import out
from pipeline.params.sections import load_params
from pipeline.storage.opening import open_store
from store import GRACE_DAYS, FeatureStore, compact, gc, key_array, repair, restore, text_key
from store.errors import InputError
from store.features.record import EncoderRecord
from store.items.records import IMAGE

_UNDO = "undo: `diptych store restore YYYY-MM-DD`, with today's date (UTC)"
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this option nothing is changed.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `diptych store`."""
    app.command("repair")(repair_)
    app.command("compact", epilog="Example: diptych store compact --encoder minilm --apply")(compact_)
    app.command(
        "gc", epilog="Example: diptych store gc data/prepare/manifest.parquet ../other/data/prepare/manifest.parquet"
    )(gc_)
    app.command("restore", epilog="Example: diptych store restore 2031-05-06")(restore_)


def repair_(apply: Apply = False) -> None:
    """Move damaged segments away and restore lost encoder records; exit 1 if something needs a person."""
    store = open_store()
    found = repair(store, _known_records(), apply=apply)
    for each in found:
        remedy = each.remedy or "left: mend it by hand, or run this in a project whose params.yaml names this encoder"
        out.print(f"{store.backend.shown(each.path)}: {each.problem}\n  -> {remedy}", markup=False)
    left = sum(not each.remedy for each in found)
    _conclude(len(found) - left if apply else len(found), "problem", apply)
    if left:
        out.print(f"{left} left", markup=False)
    if not all(each.remedy for each in found):
        raise typer.Exit(1)


def _known_records() -> list[EncoderRecord]:
    from stages.embed.params import encoder_and_fingerprint, stored_type

    records = []
    for entry in load_params(paths.PARAMS_FILE).embed.values():
        if not paths.is_fitted(entry.fit):
            continue
        encoder, fingerprint = encoder_and_fingerprint(entry, paths.fitted(entry.fit))
        records.append(EncoderRecord(fingerprint, encoder.dim, stored_type(entry, encoder)))
    return records


def compact_(
    apply: Apply = False,
    encoder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this encoder: its name or its folder.")
    ] = None,
) -> None:
    """Merge small segments into large ones, for faster listing; the inputs wait in the trash."""
    merges = compact(open_store(), apply=apply, encoder=encoder)
    for merge in merges:
        out.print(f"{merge.encoder_folder}: {len(merge.inputs)} segments with {merge.rows} rows", markup=False)
    _conclude(sum(bool(merge.output) or not apply for merge in merges), "merge", apply)
    if apply and merges:
        out.print(_UNDO)


def gc_(
    manifests: Annotated[
        list[Path] | None, typer.Argument(help="Every manifest.parquet that uses this store, of every project.")
    ] = None,
    all_manifests: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A text file that names them, one path in each line.")
    ] = None,
    grace_days: Annotated[
        float, typer.Option(metavar="DAYS", help="Nothing younger is touched; at least 7.")
    ] = GRACE_DAYS,
    apply: Apply = False,
) -> None:
    """Move segments that no manifest needs to the trash, and delete old trash and old temporary files.

    Rows of the manifests named here are never removed. Without --apply the manifest of this project is enough.
    """
    store = open_store()
    named = [*(manifests or []), *(_listed(all_manifests) if all_manifests else [])]
    if apply and not named:
        raise InputError(
            "expected every manifest that uses this store before anything is removed; found none; name them: "
            f"`diptych store gc {paths.MANIFEST} ../other/{paths.MANIFEST} --apply`"
        )
    known = [keys for path in named or [paths.MANIFEST] for keys in _manifest_keys(path)]
    found = gc(store, known, grace_days=grace_days, apply=apply)
    for each in found:
        size = f"{each.rows} rows, " if each.kind == "segment" else ""
        out.print(f"{each.kind} {store.backend.shown(each.path)} ({size}{each.age_days:.0f} days)", markup=False)
    _conclude(len(found), "file", apply)
    if any(each.kind == "segment" for each in found):
        out.print(
            _UNDO if apply else f"judged by {len(named) or 1} manifest(s): name those of every project that shares it"
        )
    _tell_uploads(store)


def _tell_uploads(store: FeatureStore) -> None:
    for name in store.backend.uploads():
        out.print(f"unfinished upload {name}: let a lifecycle rule abort it (docs/sharing.md)", markup=False)


def _listed(path: Path) -> list[Path]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"expected a list of manifests in {path}; found: {error}; correct the path.") from None
    return [path.parent / line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _manifest_keys(path: Path) -> list[NDArray[np.uint8]]:
    from store.items.manifest import Manifest

    manifest = Manifest.open(path)
    pairs = [manifest.keys(field) for field in (IMAGE, *manifest.info.fields)]
    # The empty text stands in for missing ones.
    return [*(keys[present] for keys, present in pairs), key_array([text_key("")])]


def restore_(date: Annotated[str, typer.Argument(help="A day of the trash: YYYY-MM-DD.")]) -> None:
    """Put one day's trash back, except what is there again."""
    origins = restore(open_store().backend, date)
    out.print(f"restored {len(origins)} files", markup=False)


def _conclude(count: int, what: str, apply: bool) -> None:
    plural = f"{count} {what}{'' if count == 1 else 's'}"
    if not count:
        out.print(f"nothing to do: no {what}", markup=False)
    elif apply:
        out.print(f"done: {plural}", markup=False)
    else:
        out.print(f"{plural}; nothing was changed: add --apply to do it", markup=False)
