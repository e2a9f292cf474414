"""A finished run as the sections of the page read it: each part of what it left is read once, when first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from stages.report.inputs import ReportInputs
from stages.report.params import ReportParams
from stages.report.read.cards import Cards, Thumbnails
from stages.report.read.data import DataSummary, Leaks, read_leaks, summarise_data
from stages.report.read.experiments import Experiment, Predictions, read_experiments, read_predictions
from stages.report.read.leaderboard import Leaderboard, rank_experiments
from stages.report.read.matrices import (
    PRODUCERS,
    FittedRow,
    Lineage,
    MatrixRow,
    lineage,
    read_fitted,
    read_fused,
    read_matrices,
)
from stages.report.read.pairs import PairTests, read_pairs
from stages.report.read.systems import System, read_systems
from store.items.manifest import Manifest
from store.items.records import ManifestInfo
from store.items.split import read_split


@dataclass(frozen=True)
class FinishedRun:
    """What several sections read, or the head of the page; what one section alone reads, it reads itself.

    Whatever is asked of it raises `InputError` when a file is not there, is not what its stage writes, or is about
    other items than the manifest.

    Attributes
    ----------
    params : ReportParams
    inputs : ReportInputs
    """

    params: ReportParams
    inputs: ReportInputs

    @cached_property
    def manifest(self) -> Manifest:
        """The items."""
        return Manifest.open(self.inputs.manifest)

    @property
    def info(self) -> ManifestInfo:
        """What the manifest says of the data set."""
        return self.manifest.info

    @cached_property
    def matrices(self) -> list[MatrixRow]:
        """All matrices, those of encoders first."""
        return [row for verb in PRODUCERS for row in read_matrices(verb, self.inputs.cards(verb), self.inputs.asked)]

    @cached_property
    def fitted(self) -> list[FittedRow]:
        """What was fitted without being an experiment."""
        return [*read_fitted(self.inputs.cards("fit")), *read_fused(self.inputs.cards("fuse"))]

    @cached_property
    def lineage(self) -> Lineage:
        """What the matrices show, text or image."""
        return lineage(self.matrices)

    @cached_property
    def board(self) -> Leaderboard:
        """The experiments, best first."""
        return rank_experiments(read_experiments(self.inputs.cards("evaluate")), self.params.primary, self.lineage)

    @property
    def best(self) -> Experiment:
        """The experiment that is looked at closely."""
        return self.board.experiments[0]

    @property
    def evaluated(self) -> Path:
        """The folder with the tables of `evaluate`."""
        return self.inputs.data / "evaluate"

    @property
    def scores(self) -> Path:
        """The file with what the best experiment predicts."""
        return self.inputs.data / "train" / f"{self.best.name}.parquet"

    @cached_property
    def predictions(self) -> Predictions | None:
        """What the best experiment predicts with its first seed; None without the file."""
        return read_predictions(
            self.scores, 1 if self.info.task == "regression" else len(self.info.classes), self.best.part
        )

    @cached_property
    def cards(self) -> Cards:
        """What makes cards of items; it remembers which pictures it could not read."""
        return Cards(self.manifest, Thumbnails(Path(self.info.root)))

    @cached_property
    def systems(self) -> list[System]:
        """The retrieval systems, the best first; may be empty."""
        return read_systems(self.inputs.cards("retrieve"), self.inputs.data / "retrieve", self.cards, self.params.seed)

    @property
    def closer(self) -> bool:
        """Whether the best experiment is worth a closer look: beside retrieval, what a floor gets wrong is not."""
        return not (self.board.only_floors and self.systems)

    @cached_property
    def tests(self) -> PairTests | None:
        """Paired tests of the experiments; None where there is nothing to test."""
        return read_pairs(self.board, self.cards, self.evaluated)

    @cached_property
    def data(self) -> DataSummary:
        """Counts of the data and the split."""
        return summarise_data(self.manifest, read_split(self.inputs.split, self.manifest.ids()), self.inputs.data)

    @cached_property
    def leaks(self) -> Leaks | None:
        """Test items that resemble train or dev; None where `split` tells of none."""
        return read_leaks(self.cards, self.inputs.data / "split")
