"""A card says by its form what is a metric; whoever reads one of another form is told what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from store.errors import InputError
from store.results.cards import EntryCard

METRICS = {
    "f1": 0.5, "f1_std": 0.1, "f1_low": 0.25, "f1_high": 0.75, "top_1": 1.0, "top_1_low": 0.5, "low": 0.125,
    "missing": {"image_f1_delta": -0.25}, "explained": [0.5, 0.25],
}  # fmt: skip
CARD = EntryCard(METRICS, {"rows": 3, "seeds": 2}, {"head": "knn", "threshold": 0.5, "transductive": False})


def test_it_comes_back_as_it_was_and_knows_its_metrics(tmp_path: Path) -> None:
    CARD.write(tmp_path / "it.json")
    assert sorted(json.loads((tmp_path / "it.json").read_text())) == ["counts", "made_of", "metrics"]
    card = EntryCard.read(tmp_path / "it.json")
    assert card == CARD == EntryCard.read_sound(tmp_path / "it.json")
    assert card.means == {"f1": 0.5, "top_1": 1.0, "low": 0.125}
    assert card.deviations == {"f1": 0.1}
    assert card.intervals == {"f1": (0.25, 0.75)}


def test_every_number_has_a_name() -> None:
    plain = {name: value for name, value in METRICS.items() if isinstance(value, float)}
    expected = {**plain, "missing_image_f1_delta": -0.25, "rows": 3, "seeds": 2, "threshold": 0.5}
    assert CARD.numbers == expected
    assert list(CARD.numbers) == sorted(expected)


def test_two_cards_of_an_entry_are_joined() -> None:
    joined = CARD | EntryCard({"loss": 0.25}, {"rows": 4})
    assert joined == EntryCard({**METRICS, "loss": 0.25}, {"rows": 4, "seeds": 2}, CARD.made_of)


FLAT = {"f1_macro": 0.5, "rows": 3, "head": "knn"}  # as cards once were


@pytest.mark.parametrize("content", [FLAT, [], None, {"metrics": {}, "counts": {}}, {**vars(CARD), "counts": 3}, "{"])
def test_another_form_is_refused_with_a_remedy(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "it.json"
    path.write_text(content if content == "{" else json.dumps(content))
    with pytest.raises(InputError, match=r"expected .*it\.json, found .*run `dvc repro`, which writes it again"):
        EntryCard.read(path)
    assert EntryCard.read_sound(path) == EntryCard()


def test_a_card_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected .*it\.json, found no file; run `dvc repro`"):
        EntryCard.read(tmp_path / "it.json")
    assert EntryCard.read_sound(tmp_path / "it.json") == EntryCard()
