"""The command `diptych compare`; `cli` lists it among the others, `compare` does the work."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.console import print_json
from pipeline.verbs import Session


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
    from pipeline import compare as comparing  # the store and numpy, which a mere --help has no use for

    session = Session.open()
    question = comparing.Question(sorted(set(k or (1, 5, 10))), rows, seed)
    found = comparing.compare(first, second, question, session.params, session.progress)
    if as_json:
        print_json(found.as_dict())
    else:
        comparing.print_comparison(found)
