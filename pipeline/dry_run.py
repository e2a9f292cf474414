"""`diptych prepare --dry-run`: say what `prepare` would make of the data set, and make a contact sheet."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline import paths
from pipeline.console import ConsoleProgress, out
from pipeline.params import load_params, load_prepare
from pipeline.settings import load_settings
from pipeline.tokens import token_lines
from pipeline.watched import refuse_odd_files
from stages.files import trust_roots
from stages.prepare.preview import preview
from stages.prepare.preview_text import preview_lines


def preview_data(rows: int | None) -> None:
    """Say what `prepare` would make of the data set, and make a contact sheet; the outputs stay as they are.

    Mistakes in other sections of params.yaml are told last: one looks at the data first, and then writes those.

    Raises
    ------
    InputError
        When the data set or its section is wrong, as `prepare` would.
    """
    os.chdir(paths.find_root(Path.cwd()))
    trust_roots(load_settings(paths.LOCAL_FILE, os.environ).trusted_roots)
    params, elsewhere = load_prepare(paths.PARAMS_FILE)
    refuse_odd_files(Path(params.path))
    found = preview(params, paths.PREVIEW, ConsoleProgress(), rows)
    for line in preview_lines(found, paths.PREPARE):
        out.print(line, markup=False)
    if not elsewhere:
        unusual = {name: list(texts) for name, texts in found.measures.unusual.items()}
        for name, said in token_lines(load_params(paths.PARAMS_FILE), unusual):
            out.print(f"tokens      {name}: {said}", markup=False)
    if elsewhere:
        out.print(f"before a real run mend the other sections of {elsewhere}", markup=False)
