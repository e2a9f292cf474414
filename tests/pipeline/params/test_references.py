"""Fusions that read more than vectors: an entry that will not have it is refused before anything runs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.sections import load_params
from stages.models.fusions.attention import AttentionFusion
from stages.models.fusions.catalog import FUSIONS, AttentionOptions, NoOptions
from stages.models.fusions.row import IMAGE, TEXT, FusionRow, network, transformer
from store.errors import InputError
from tests.pipeline.project import SMALL, write_params

NEEDS: dict[int, tuple[str, ...]] = {TEXT: ("tokens",), IMAGE: ("map", "regions")}
EMBED = {
    "caption-hash": {"encoder": "hash", "field": "caption"},
    "image-colors": {"encoder": "colorhist", "field": "image"},
    "caption-bert": {"encoder": "bert", "field": "caption", "model": "random"},
    "caption-tokens": {"encoder": "bert", "field": "caption", "model": "random", "tokens": True},
    "words": {"encoder": "wordvec", "field": "caption", "model": "w.txt"},
    "words-alone": {"encoder": "wordvec", "field": "caption", "model": "w.txt", "tokens": False},
    "image": {"encoder": "resnet50", "field": "image", "model": "random"},
    "image-map": {"encoder": "resnet50", "field": "image", "model": "random", "map": True},
}


@pytest.fixture(autouse=True)
def _rows_that_read_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rows of a catalogue: which families of fusions there are is not this file's business."""
    native = FusionRow("reads", "native", (2, 2), AttentionOptions, "here", network(lambda: AttentionFusion), NEEDS)
    vectors = FusionRow("joins", "vectors", (2, None), NoOptions, "here", transformer(lambda: None), NEEDS)
    for row in (native, vectors):
        monkeypatch.setitem(FUSIONS, row.name, row)


def load(folder: Path, *features: str, verb: str = "train") -> None:
    content: dict[str, Any] = {**copy.deepcopy(SMALL), "embed": EMBED}
    entry = {"features": [*features], "fusion": "joins" if verb == "fuse" else "reads"}
    content[verb]["it"] = entry if verb == "fuse" else {**entry, "head": "native"}
    content["reduce"] = {"small": {"features": "caption-hash", "method": "pca", "components": 2}}
    write_params(folder, content)
    load_params(folder / "params.yaml")


def refused(folder: Path, *features: str, verb: str = "train") -> str:
    with pytest.raises(InputError) as caught:
        load(folder, *features, verb=verb)
    return str(caught.value)


@pytest.mark.parametrize("text", ["caption-tokens", "words"])
@pytest.mark.parametrize("verb", ["train", "fuse"])
def test_what_a_fusion_reads_is_there(tmp_path: Path, text: str, verb: str) -> None:
    load(tmp_path, text, "image-map", verb=verb)


@pytest.mark.parametrize(
    ("features", "at", "said"),
    [
        (
            ("caption-bert", "image-map"),
            0,
            "reads tokens of this input; found 'caption-bert' without; give it `tokens: true` in embed",
        ),
        (("words-alone", "image-map"), 0, "found 'words-alone' without; give it `tokens: true` in embed"),
        (
            ("caption-hash", "image-map"),
            0,
            "found 'caption-hash', whose encoder 'hash' has vectors alone; take another encoder or fusion",
        ),
        (("small", "image-map"), 0, "found 'small' of reduce, which has vectors alone; name an entry of embed with `t"),
        (("both", "image-map"), 0, "found 'both' of fuse, which has vectors alone; name an entry of embed with `tok"),
        (
            ("words", "image"),
            1,
            "reads map or regions of this input; found 'image' without; give it `map: true` in embed",
        ),
        (("words", "image-colors"), 1, "whose encoder 'colorhist' has vectors alone"),
    ],
)
def test_an_input_without_it_is_told_at_its_place(
    tmp_path: Path, features: tuple[str, ...], at: int, said: str
) -> None:
    message = refused(tmp_path, *features)
    assert "1 mistake;" in message
    assert f"train.it.features.{at}: fusion 'reads' reads" in message
    assert said in message


def test_both_inputs_are_told_together_and_in_fuse_too(tmp_path: Path) -> None:
    message = refused(tmp_path, "caption-bert", "image", verb="fuse")
    assert "2 mistakes" in message
    assert "fuse.it.features.0: fusion 'joins' reads tokens" in message
    assert "fuse.it.features.1: fusion 'joins' reads map or regions" in message


def test_only_the_inputs_that_are_read_count(tmp_path: Path) -> None:
    load(tmp_path, "words", "caption-hash", "image-map", verb="fuse")


def test_an_entry_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    message = refused(tmp_path, "nowhere", "image-map")
    assert "1 mistake;" in message
    assert "no features 'nowhere'" in message
