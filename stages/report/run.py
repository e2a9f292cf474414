"""`report` from end to end: read what the run left, order, draw, choose, and write the page and the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.contract import Progress
from stages.errors import InputError, RunError
from stages.items import Manifest
from stages.outputs import write_text
from stages.parts import read_split
from stages.report.cards import Cards
from stages.report.compare import Comparison, compare, write_comparison
from stages.report.comparison import draw_insides, draw_plots
from stages.report.examples import choose_examples
from stages.report.fitted import read_fitted, read_fused
from stages.report.leaderboard import Leaderboard, rank_experiments, write_leaderboard
from stages.report.leaks import leak_warning, read_leaks
from stages.report.lineage import lineage
from stages.report.matrices import PRODUCERS, MatrixRow, read_matrices
from stages.report.missing import read_missing
from stages.report.mistakes import read_mistakes
from stages.report.page import KINDS, MAX_BYTES, Page, render
from stages.report.paired import write_pairs
from stages.report.pairs import PairTests, read_pairs
from stages.report.pairs_plot import pair_section
from stages.report.panels import Panel, Sources, experiment_panels, retrieval_panels
from stages.report.params import ReportParams
from stages.report.presence import read_presence
from stages.report.provenance import Provenance, origin
from stages.report.published import read_published
from stages.report.readings import read_experiments, read_predictions
from stages.report.retrieval_curves import curve_plot
from stages.report.settings import Asked
from stages.report.strips import System, read_systems
from stages.report.summaries import summarise_data
from stages.report.thumbnails import Thumbnails
from stages.report.tsne import read_maps
from stages.report.verdict import retrieval_verdict, verdict


@dataclass(frozen=True)
class ReportInputs:
    """What the report reads.

    Attributes
    ----------
    manifest, split : Path
        The files of `prepare` and `split`.
    metrics : Path
        The folder with `evaluate/`, `retrieve/`, `fit/`, `embed/`, `reduce/` and `fuse/`; only the first must hold
        something.
    entries : mapping of str to sequence of str
        For each of these verbs the names in params.yaml: files of entries that were removed are left alone.
    data : Path
        The folder with `train/`, `evaluate/`, `retrieve/`, `prepare/` and `split/`; what is missing is left out.
    published : mapping or None
        The content of the file that `report.published` names.
    asked, defaults : mapping
        For each verb and entry what params.yaml says, and what holds where it says nothing; a verb without entries
        has one of the name "".
    provenance : Provenance
        What there is to say of the machine and the moment.
    """

    manifest: Path
    split: Path
    metrics: Path
    data: Path
    entries: Mapping[str, Sequence[str]]
    published: Mapping[str, Any] | None = None
    asked: Asked = field(default_factory=dict)
    defaults: Asked = field(default_factory=dict)
    provenance: Provenance = field(default_factory=lambda: Provenance({}))

    def cards(self, verb: str) -> list[Path]:
        """Return the JSON files of a verb's entries, ordered by name.

        Raises
        ------
        InputError
            When one is not there.
        """
        files = [self.metrics / verb / f"{name}.json" for name in sorted(self.entries.get(verb, ()))]
        for path in files:
            if not path.is_file():
                raise InputError(f"expected {path}, found no file; run `diptych {verb} {path.stem}`")
        return files


@dataclass(frozen=True)
class ReportOutputs:
    """What the report writes: the page, the table, the comparison with published figures, and the paired tests."""

    page: Path
    leaderboard: Path
    compare: Path
    pairs: Path


def run(params: ReportParams, inputs: ReportInputs, outputs: ReportOutputs, progress: Progress) -> dict[str, Any]:
    """Write the page, the table and, where the params name published figures, the comparison.

    Returns
    -------
    dict
        ``experiments``, ``best``, ``primary``, ``verdict`` and ``bytes``, the size of the page.

    Raises
    ------
    InputError
        When no experiment was evaluated, or the files do not belong together. Nothing is written then.
    RunError
        When the page would not stay under 10 MB.
    """
    manifest = Manifest.open(inputs.manifest)
    with progress.track("report", None) as tracker:
        tracker.advance(note="reading")
        page = _gather(params, inputs, manifest)
        tracker.advance(note="writing")
        text = render(page)
        size = len(text.encode())
        if size > MAX_BYTES:
            raise RunError(f"expected a page of at most {MAX_BYTES:,} bytes, found {size:,}; lower report.examples")
        write_leaderboard(outputs.leaderboard, page.board)
        if page.comparison is not None:
            write_comparison(outputs.compare, page.comparison)
        if page.pairs is not None:
            write_pairs(outputs.pairs, page.pairs.tests.pairs)
        write_text(outputs.page, text)
    best = page.board.experiments[0].name
    known = {"experiments": len(page.board.experiments), "best": best, "primary": page.board.primary}
    return {**known, "verdict": page.verdict, "bytes": size}


def _gather(params: ReportParams, inputs: ReportInputs, manifest: Manifest) -> Page:
    """Read and compute all that the page shows."""
    info = manifest.info
    matrices = [row for verb in PRODUCERS for row in read_matrices(verb, inputs.cards(verb), inputs.asked)]
    encoders = {row.fingerprint: row.what for row in matrices if row.fingerprint}
    shows = lineage(matrices)
    board = rank_experiments(read_experiments(inputs.cards("evaluate")), params.primary, shows)
    best = board.experiments[0]
    scores = inputs.data / "train" / f"{best.name}.parquet"
    predictions = read_predictions(scores, 1 if info.task == "regression" else len(info.classes), best.part)
    cards = Cards(manifest, Thumbnails(Path(info.root)))
    systems = read_systems(inputs.cards("retrieve"), inputs.data / "retrieve", cards, params.seed)
    closer = not (board.only_floors and systems)  # where retrieval is the matter, what a floor gets wrong is not
    gallery = None
    if predictions is not None and params.examples and closer:
        gallery = choose_examples(predictions, str(scores), cards, params, best.decision)
    scored = inputs.data / "evaluate"
    tests = read_pairs(board, cards, scored)
    data = summarise_data(manifest, read_split(inputs.split, manifest.ids()), inputs.data)
    leaks = read_leaks(cards, inputs.data / "split")
    return Page(
        title=params.title,
        verdict=" ".join(filter(None, (_verdict(board, tests, systems), leak_warning(leaks, data.overlaps)))),
        info=info,
        board=board,
        comparison=_compare(params, inputs, manifest, board, systems),
        pairs=pair_section(tests),
        plots=[
            *(draw_plots(board, cards, predictions, inputs.data) if closer else ()),
            *draw_insides(board, shows, inputs.cards("reduce"), inputs.data),
        ],
        missing=read_missing(board, inputs.metrics, inputs.data),
        presence=read_presence(board, scored),
        maps=read_maps(board, cards, scored),
        gallery=gallery,
        mistakes=read_mistakes(best.name, cards, scored) if closer else [],
        systems=systems,
        curve=curve_plot(systems, inputs.data / "retrieve", shows),
        data=data,
        leaks=leaks,
        panels=_panels(inputs, board, systems, matrices),
        matrices=matrices,
        fitted=[*read_fitted(inputs.cards("fit")), *read_fused(inputs.cards("fuse"))],
        unreadable=len(cards.thumbnails.unreadable),
        origin=origin(inputs.provenance, inputs.asked, encoders, inputs.manifest, inputs.split),
    )


def _panels(
    inputs: ReportInputs, board: Leaderboard, systems: Sequence[System], matrices: Sequence[MatrixRow]
) -> list[Panel]:
    known = {row.name: row for row in matrices}
    sources = Sources(inputs.metrics, inputs.data, known, inputs.asked, inputs.defaults)
    searches = [(system.name, system.metrics) for system in systems]
    return [*experiment_panels(board, sources, KINDS), *retrieval_panels(searches, sources)]


def _verdict(board: Leaderboard, tests: PairTests | None, systems: Sequence[System]) -> str:
    """Say what the leaderboard shows; where nothing is trained but a floor, what retrieval does comes first."""
    said = verdict(board, () if tests is None else tests.pairs)
    found = retrieval_verdict({system.name: system.metrics for system in systems})
    return " ".join(filter(None, (found, said) if board.only_floors else (said, found)))


def _compare(
    params: ReportParams, inputs: ReportInputs, manifest: Manifest, board: Leaderboard, systems: Sequence[System]
) -> Comparison | None:
    if inputs.published is None:
        return None
    published = read_published(inputs.published, params.published or "published figures")
    one = board.experiments[0]
    scored = f"{one.rows:,} rows of the {one.part} part of {manifest.info.source}, {len(manifest):,} items"
    return compare(published, board.experiments, {system.name: system.metrics for system in systems}, scored)
