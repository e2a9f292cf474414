"""What becomes of failed contents: their items are listed with the reason, and too many of them fail the run."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from stages.embed.params import EmbedParams
from stages.embed.request import Request
from stages.errors import RunError
from stages.items import Manifest
from stages.outputs import safe_cell, write_lines


def write_failures(path: Path, manifest: Manifest, request: Request, failures: Mapping[int, str]) -> None:
    """Write every item that got no vector, with the reason; only the header when there are none.

    Parameters
    ----------
    failures : mapping
        Position in the request -> reason.
    """
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "reason"])
        if failures:
            found = zip(manifest.ids(), request.inverse.tolist(), strict=True)
            writer.writerows((safe_cell(name), safe_cell(failures[at])) for name, at in found if at in failures)


def refuse_failures(params: EmbedParams, request: Request, failures: Mapping[int, str]) -> None:
    """Refuse to export a matrix that is not what was asked for.

    Raises
    ------
    RunError
        When more contents failed than `params.max_failed_share` allows, or the empty text did, which every missing
        text needs.
    """
    total = len(request.keys)
    if len(failures) > params.max_failed_share * total:
        reasons = sorted(set(failures.values()))[:3]
        raise RunError(
            f"embed: expected at most {params.max_failed_share:.0%} of the contents to fail; found {len(failures)} of "
            f"{total} ({'; '.join(reasons)}); mend the inputs or raise max_failed_share. "
            "The good rows are in the store."
        )
    if request.empty in failures:
        raise RunError(
            f"embed: expected a vector for the empty text, which stands in for missing texts; "
            f"found: {failures[request.empty]}; set `missing: zero`."
        )
