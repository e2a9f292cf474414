"""The catalogue of fitters as data rows; each imports what it computes with only when it is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stages.fit.context import FitContext, Fitted
from stages.fit.options import (
    BertOptions,
    BgeOptions,
    BovwOptions,
    ConvaeOptions,
    ImageOptions,
    Inceptionv3Options,
    Mobilenetv2Options,
    PairOptions,
    Resnet50v2Options,
    W2vOptions,
)
from stages.models.catalog import Options
from stages.models.encoders.catalog.row import Kind
from store.items.records import Task

Fit = Callable[[FitContext, Path], Fitted]
_CLASSES: tuple[Task, ...] = ("multilabel", "multiclass")
_PAIR = ("torch", "transformers", "timm", "numpy", "pillow")
_VISION = ("opencv-python-headless", "scikit-learn", "numpy", "pillow")


@dataclass(frozen=True)
class FitterRow:
    """One encoder that must be fitted before `embed`.

    Attributes
    ----------
    name : str
        The encoder's name in the catalogue of encoders.
    kind : {"text", "image", "pair"}
        What it reads; a pair is a text and the picture.
    options : type of Options
    source : str
        The papers that it is from, by the numbers of docs/papers.md, or that it is ours.
    libraries : tuple of str
        Distributions whose arithmetic the weights follow; their versions are recorded.
    code_version : int
        Raised when the same inputs give other weights.
    fit : callable
        Writes the weights into the folder that it is given.
    tasks : tuple of Task
        The labels that it learns from, one of these; empty when it needs none.
    """

    name: str
    kind: Kind
    options: type[Options]
    source: str
    libraries: tuple[str, ...]
    code_version: int
    fit: Fit
    tasks: tuple[Task, ...] = ()


def _w2v(context: FitContext, folder: Path) -> Fitted:
    from stages.fit.w2v import fit_w2v  # gensim

    return fit_w2v(context, folder)


def _text(base: str) -> Fit:
    def fit(context: FitContext, folder: Path) -> Fitted:
        from stages.fit.finetune.texts import fit_text  # torch and transformers

        return fit_text(base, context, folder)

    return fit


def _picture(context: FitContext, folder: Path) -> Fitted:
    from stages.fit.finetune.pictures import fit_picture  # torch and timm

    return fit_picture(context, folder)


def _pair(context: FitContext, folder: Path) -> Fitted:
    from stages.fit.finetune.pairs import fit_pair  # torch, transformers and timm

    return fit_pair(context, folder)


def _text_row(name: str, base: str, options: type[Options]) -> FitterRow:
    return FitterRow(name, "text", options, "paper 0", ("torch", "transformers"), 1, _text(base), _CLASSES)


def _picture_row(name: str, options: type[Options], source: str) -> FitterRow:
    return FitterRow(name, "image", options, source, ("torch", "timm", "pillow"), 1, _picture, _CLASSES)


def _bovw(context: FitContext, folder: Path) -> Fitted:
    from stages.fit.bovw import fit_bovw  # OpenCV and scikit-learn

    return fit_bovw(context, folder)


def _convae(context: FitContext, folder: Path) -> Fitted:
    from stages.fit.convae import fit_convae  # torch

    return fit_convae(context, folder)


FITTERS: dict[str, FitterRow] = {
    row.name: row
    for row in (
        FitterRow("w2v", "text", W2vOptions, "paper 3", ("gensim", "numpy", "scipy"), 1, _w2v),
        _text_row("bert-ft", "bert", BertOptions),
        _text_row("bge-ft", "bge", BgeOptions),
        _picture_row("resnet152-ft", ImageOptions, "paper 0"),
        _picture_row("inceptionv3-ft50", Inceptionv3Options, "paper 1"),
        _picture_row("resnet50v2-ft50", Resnet50v2Options, "paper 1"),
        _picture_row("mobilenetv2-ft50", Mobilenetv2Options, "paper 1"),
        FitterRow("bert-pair-ft", "pair", PairOptions, "paper 2", _PAIR, 1, _pair, _CLASSES),
        FitterRow("bovw", "image", BovwOptions, "paper 4", _VISION, 1, _bovw),
        FitterRow("convae", "image", ConvaeOptions, "paper 3", ("torch", "numpy", "pillow"), 1, _convae),
    )
}
