"""Test items with what the best experiment says of them: chosen by `decisions`, shown by `page`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.errors import InputError
from stages.items import Manifest
from stages.report.decisions import decide, label_quality, pick
from stages.report.readings import Predictions
from stages.report.thumbnails import Picture, Thumbnails
from stages.report.verdict import number

Outcome = Literal["hit", "missed", "false alarm"]
_TEXT_LENGTH = 280


@dataclass(frozen=True)
class Mark:
    """A label and what became of it."""

    label: str
    outcome: Outcome


@dataclass(frozen=True)
class Caption:
    """One text field of an item; None where it is missing."""

    field: str
    text: str | None


@dataclass(frozen=True)
class Card:
    """An item as the page shows it.

    Attributes
    ----------
    item : str
        Its id.
    picture : Picture or None
        None without a picture, or when it cannot be read.
    has_image : bool
        Whether the manifest names a picture.
    captions : tuple of Caption
        Its texts, cut when long.
    labels : tuple of str
        What is true of it; for a regression the true value.
    """

    item: str
    picture: Picture | None
    has_image: bool
    captions: tuple[Caption, ...]
    labels: tuple[str, ...]

    @property
    def alt(self) -> str:
        """What is read to those who cannot see the picture."""
        text = next((caption.text for caption in self.captions if caption.text), None)
        return f"Item {self.item}: {text[:140]}" if text else f"Item {self.item}, without a caption"


@dataclass(frozen=True)
class Example:
    """A card and the verdict of the best experiment: marks for classes, a value for a regression."""

    card: Card
    marks: tuple[Mark, ...]
    predicted: str


@dataclass(frozen=True)
class Gallery:
    """The examples: some of the best predicted and some of the worst."""

    best: tuple[Example, ...]
    worst: tuple[Example, ...]


@dataclass(frozen=True)
class Cards:
    """Makes cards of items.

    Attributes
    ----------
    manifest : Manifest
        Texts, pictures and labels.
    thumbnails : Thumbnails
        The pictures.
    """

    manifest: Manifest
    thumbnails: Thumbnails

    def of(self, rows: Sequence[int] | NDArray[np.int64]) -> list[Card]:
        """Make the cards of some rows of the manifest."""
        chosen = np.asarray(rows, np.int64)
        ids, truth = self.manifest.ids(), true_labels(self.manifest, chosen)
        images = self.manifest.images(chosen)
        texts = {name: self.manifest.texts(name, chosen) for name in self.manifest.info.fields}
        return [
            Card(
                item=ids[row],
                picture=self.thumbnails.get(images[place]),
                has_image=images[place] is not None,
                captions=tuple(Caption(name, _cut(values[place])) for name, values in texts.items()),
                labels=truth[place],
            )
            for place, row in enumerate(chosen)
        ]


def true_labels(manifest: Manifest, rows: NDArray[np.int64]) -> list[tuple[str, ...]]:
    """Write out what is true of each row."""
    if manifest.info.task == "regression":
        return [(number(value),) for value in manifest.targets()[rows]]
    classes = manifest.info.classes
    return [tuple(classes[column] for column in np.flatnonzero(row)) for row in manifest.label_matrix()[rows]]


def _cut(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    return text if len(text) <= _TEXT_LENGTH else text[: _TEXT_LENGTH - 1] + "…"


def rows_of(manifest: Manifest, ids: Sequence[str], origin: str) -> NDArray[np.int64]:
    """Find items in the manifest.

    Raises
    ------
    InputError
        When the manifest lacks one: the file at `origin` was made from another manifest.
    """
    place = {item: row for row, item in enumerate(manifest.ids())}
    lost = [item for item in ids if item not in place]
    if lost:
        raise InputError(
            f"expected items of {manifest.path} in {origin}, found {lost[0]!r} and {len(lost) - 1} more that are not; "
            "run `dvc repro` so that both come from one manifest"
        )
    return np.array([place[item] for item in ids], np.int64)


def choose_examples(predictions: Predictions, origin: str, cards: Cards, count: int, seed: int) -> Gallery:
    """Choose labelled test items and mark what the experiment says of them.

    Parameters
    ----------
    predictions : Predictions
        Of one experiment.
    origin : str
        The file they come from, for messages.
    cards : Cards
        Makes what the page shows.
    count, seed : int
        See `ReportParams`.

    Raises
    ------
    InputError
        When the predictions belong to another manifest.
    """
    manifest = cards.manifest
    rows = rows_of(manifest, predictions.ids, origin)
    kept = np.flatnonzero(manifest.labelled()[rows])
    rows, scores = rows[kept], predictions.scores[kept]
    if manifest.info.task == "regression":
        quality = -np.abs(scores[:, 0].astype(np.float64) - manifest.targets()[rows])
        said: list[tuple[tuple[Mark, ...], str]] = [((), number(float(value))) for value in scores[:, 0]]
    else:
        truth = manifest.label_matrix()[rows]
        chosen = decide(scores, manifest.info.task)
        quality = label_quality(scores, chosen, truth)
        said = [(_marks(one, other, manifest.info.classes), "") for one, other in zip(chosen, truth, strict=True)]
    best, worst = pick(quality, count, seed)
    shown = np.concatenate([best, worst])
    made = [Example(card, *said[place]) for card, place in zip(cards.of(rows[shown]), shown, strict=True)]
    return Gallery(tuple(made[: len(best)]), tuple(made[len(best) :]))


def _marks(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], classes: Sequence[str]) -> tuple[Mark, ...]:
    """Mark every label that is true or predicted: hits first, then what was missed, then false alarms."""
    groups: list[tuple[Outcome, NDArray[np.bool_]]] = [
        ("hit", predicted & truth),
        ("missed", truth & ~predicted),
        ("false alarm", predicted & ~truth),
    ]
    return tuple(Mark(classes[int(column)], outcome) for outcome, mask in groups for column in np.flatnonzero(mask))
