"""The commands `search`, `compare` and `export`; `cli` lists them among the others, the rooms behind do the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.journal.console import err, out, print_json
from pipeline.journal.help import App
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
    from pipeline.search import nearest as finder  # stages that only this command needs
    from pipeline.search import output as shown
    from pipeline.search.system import Words

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
        from pipeline.search.output import write_page  # templates and thumbnails

        write_page(html, found)
        err.print(f"search: wrote {html}", markup=False)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="An entry of embed, reduce or fuse.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    k: Annotated[
        list[int] | None,
        typer.Option(
            "-k", "--k", metavar="N", min=1, help="How many neighbours, again for more; 1, 5 and 10 when left out."
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many items, at most, are asked for their neighbours.")
    ] = 2000,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Chooses these items.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Compare two sets of features on the same rows: how alike they are, which scores better, what each costs.

    Linear CKA compares all distances at once: 1 when one set is the other, rotated or scaled. The share of common
    nearest neighbours looks at the short distances, on which retrieval depends. Below: what encoding and keeping a row
    costs, and the experiments and retrievals of params.yaml that are the same but for these features.
    """
    from pipeline.experiments import compare as comparing  # the store and numpy, which a mere --help has no use for

    session = Session.open()
    question = comparing.Question(sorted(set(k or (1, 5, 10))), rows, seed)
    found = comparing.compare(first, second, question, session.params, session.progress)
    if as_json:
        print_json(found.as_dict())
    else:
        comparing.print_comparison(found)


export_app = App(help="Write what a run made for other tools.", no_args_is_help=True)


@export_app.callback()
def common() -> None:
    """Write what a run made for other tools."""


@export_app.command(
    epilog="Examples: diptych export matrix caption-minilm vectors.parquet; diptych export matrix both b.npz"
)
def matrix(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An entry of embed, reduce or fuse.")],
    target: Annotated[Path, typer.Argument(metavar="FILE", help="What to write: .parquet, .npy or .npz.")],
    half: Annotated[
        bool, typer.Option("--half", help="Half floats (float16): half the size, and not every tool knows them.")
    ] = False,
) -> None:
    """Write one matrix as Parquet, NPY or NPZ, in the order of the manifest.

    Parquet has the columns id, present, ok and vector; NPZ the arrays vectors, ids, present and ok; NPY the vectors
    alone. Rows that are not both present and ok hold the missing vector.
    """
    from pipeline.storage.export import export_matrix  # pyarrow and the store, which a mere --help has no use for

    target = target.expanduser().absolute()  # before the session goes to the project's root
    session = Session.open()
    found = export_matrix(name, target, session.params, session.progress, half=half)
    out.print(f"{name}: {len(found)} rows of {found.dim} numbers in {target}", markup=False)
