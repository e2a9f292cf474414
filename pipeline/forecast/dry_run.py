"""`diptych prepare --dry-run`: say what `prepare` would make of the data set, and make a contact sheet."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline import paths
from pipeline.forecast.watched import refuse_odd_files
from pipeline.journal.console import ConsoleProgress, out
from pipeline.journal.notices import token_lines
from pipeline.machine.settings import load_settings
from pipeline.params.sections import load_params, load_prepare
from stages.prepare.preview.look import preview
from stages.prepare.preview.text import preview_lines
from store.files.reading import trust_roots


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
