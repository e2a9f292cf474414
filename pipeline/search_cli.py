"""The command `diptych search`; `cli` lists it among the others, `search` does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.console import err, print_json
from pipeline.verbs import Session


def search(  # noqa: PLR0913 (each is an option of its own)
    system: Annotated[
        str | None, typer.Argument(help="Entry of `retrieve` in params.yaml; the one that fits best when left out.")
    ] = None,
    *,
    image: Annotated[Path | None, typer.Option("--image", metavar="FILE", help="A picture file.")] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="A text, for every text field not named otherwise.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=TEXT", help="A text for one text field; may be repeated."),
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", metavar="N", min=1, help="How many items to find.")] = 10,
    part: Annotated[
        Literal["all", "train", "dev", "test"],
        typer.Option("--part", metavar="all|train|dev|test", help="Who may be found."),
    ] = "all",
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the pictures, too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Find the items nearest to a new picture, a new text, or both, in the vectors of a finished run.

    The query is encoded as the stored rows were, and ranked as its retrieval system ranks: the same encoders, models,
    scaling and head. With one of two inputs, matrices of the other are left out; a matrix of `fuse` takes its missing
    vector for it. Nothing of the run is changed.
    """
    from pipeline import search as finder  # stages that only this command needs
    from pipeline import search_output as shown
    from pipeline.search_system import Words

    # In full, before the session goes to the project's root.
    image, html = (None if path is None else path.absolute() for path in (image, html))
    request = finder.Request(system, image, Words.of(text, field or []), k, part)
    shown.check_place(html, image)
    found = finder.search(request, Session.open())
    if as_json:
        print_json(shown.as_json(found))
    else:
        shown.print_found(found)
    if html is not None:
        from pipeline.search_page import write_page  # templates and thumbnails

        write_page(html, found)
        err.print(f"search: wrote {html}", markup=False)
