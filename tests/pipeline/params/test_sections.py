"""params.yaml: every mistake at once, each with its line, its key, and the nearest known word."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.params.sections import Params, load_params
from store.errors import InputError
from tests.pipeline.project import ROOT, SMALL, write_params

_WORDS = {"encoder": "w2v", "field": "caption"}
_PAIR = {"encoder": "bert-pair-ft", "field": "caption"}
_TEXTS = {"source": "table", "path": "x.csv", "table": {"id": "id", "text": "words", "labels": "tags"}}


def _load(folder: Path, change: dict[str, Any] | None = None) -> Params:
    content = copy.deepcopy(SMALL)
    for path, value in (change or {}).items():
        *steps, last = path.split("/")
        target = content
        for step in steps:
            target = target[step]
        target[last] = value
    write_params(folder, content)
    return load_params(folder / "params.yaml")


def _message(folder: Path, change: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        _load(folder, change)
    return str(caught.value)


def test_the_default_params_are_valid() -> None:
    assert load_params(ROOT / "params.yaml").train


def test_all_mistakes_are_reported_together_with_lines_and_remedies(tmp_path: Path) -> None:
    message = _message(
        tmp_path,
        {
            "prepare/sceens": {"items": 3},
            "split/test": "much",
            "embed/caption-hash/encoder": "hsah",
            "train/text/neighbors": 4,
            "train/joined/features": ["bth"],
            "retrieve/by-image/k": [0],
        },
    )
    assert "6 mistakes" in message
    assert "unknown key (did you mean 'scenes'?)" in message
    assert "split.test" in message
    assert "'much'" in message
    assert "did you mean 'hash'" in message
    assert "did you mean 'neighbours'" in message
    assert "no features 'bth' (did you mean 'both'?)" in message
    lines = (tmp_path / "params.yaml").read_text().splitlines()
    at = {text.strip(): number for number, text in enumerate(lines, start=1)}
    for line in ("sceens:", "test: much", "encoder: hsah", "neighbors: 4", "- bth"):
        assert f"params.yaml:{at[line]} " in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embed/caption-hash/field": "captoin"}, "no field 'captoin' (did you mean 'caption'?)"),
        ({"embed/caption-hash/field": "image"}, "reads a text field"),
        ({"embed/caption-hash/model": "somewhere"}, "has no option 'model'"),
        ({"fuse/both/fusion": "attention"}, "belongs in the section `train`"),
        ({"fuse/caption-hash": {"fusion": "none", "features": ["caption-hash"]}}, "is taken in embed"),
        ({"train/with.dot": {"features": ["both"], "head": "dummy"}}, "expected a name of a-z"),
        ({"train/text/head": "native"}, "native"),
        ({"train/text/features": ["both", "caption-hash"]}, "exactly one"),
        ({"train": {}}, "at least one experiment"),
        ({"reduce/p": {"features": "both"}}, "no features 'both'"),
        ({"fit/x": {"encoder": "hash", "field": "caption"}}, "no fitted encoder 'hash'"),
        ({"fit/x": {"encoder": "w2v", "field": "captoin"}}, "no field 'captoin' (did you mean 'caption'?)"),
        ({"fit/x": {"encoder": "w2v", "field": "caption", "epoch": 1}}, "did you mean 'epochs'"),
        ({"embed/words": {"encoder": "w2v", "field": "caption"}}, "name an entry of the section `fit`"),
        ({"embed/caption-hash/fit": "words"}, "is never fitted"),
        (
            {"fit/words": _WORDS, "embed/words": {**_WORDS, "fit": "wrds"}},
            "no entry 'wrds' (did you mean 'words'?) in fit; there are ['words']",
        ),
        (
            {"fit/seen": {"encoder": "bovw", "field": "image"}, "embed/words": {**_WORDS, "fit": "seen"}},
            "expected a fitted 'w2v'; found 'seen', which is a 'bovw'",
        ),
        ({"fit/x": {"encoder": "bert-pair-ft", "field": "image"}}, "encoder 'bert-pair-ft' reads a text field"),
        ({"fit/x": {**_PAIR, "image_encoder": "minilm"}}, "no frozen image encoder 'minilm'"),
        ({"fit/x": _PAIR, "embed/x": _PAIR}, "encoder 'bert-pair-ft' must be fitted"),
        ({"fit/x": _PAIR, "prepare": _TEXTS}, "encoder 'bert-pair-ft' reads the field 'image' too"),
        ({"evaluate": {"threshold": 2}}, "evaluate.threshold"),
        (
            {"evaluate/tsne": {"experiments": ["text", "joind"]}},
            "evaluate.tsne.experiments.1: no experiment 'joind' (did you mean 'joined'?) in train; name some of ['dum",
        ),
        ({"evaluate/tsne": {"experiments": []}}, "evaluate.tsne.experiments"),
        ({"evaluate/tsne": {"experiments": ["text"], "perplexity": 0}}, "evaluate.tsne.perplexity"),
        ({"evaluate/tsne": {"experiments": ["text"], "highlight": {"clas": "x", "ids": "f"}}}, "did you mean 'class'"),
        ({"evaluate/weights": "yes"}, "evaluate.weights"),
        ({"store/format": "parquet"}, "store.format"),
        ({"traim": {}}, "unknown key (did you mean 'train'?)"),
        ({"prepare": {"source": "table", "path": "x.csv"}}, "table"),
    ],
)
def test_one_mistake(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    message = _message(tmp_path, change)
    assert said in message
    assert "nothing was run" in message


@pytest.mark.parametrize(
    "change",
    [
        {"prepare/scenes": {"items": "100"}},
        {"prepare/scenes": {"items": True}},
        {"split/test": "0.2"},
        {"split/test": float("inf")},
        {"split/seed": 0.5},
        {"train/text/neighbours": "3"},
        {"train/text/seeds": [True]},
        {"evaluate/threshold": "0.5"},
        {"retrieve/by-image/features": "image-colors"},
    ],
)
def test_a_wrong_type_is_reported_and_never_converted(tmp_path: Path, change: dict[str, Any]) -> None:
    message = _message(tmp_path, change)
    (path,) = change
    assert path.split("/")[0] in message
    assert "constrained" not in message


def test_lists_numbers_and_whole_floats_are_taken_as_written(tmp_path: Path) -> None:
    params = _load(tmp_path, {"split/test": 0.25, "train/text/seeds": [2, 1]})
    assert params.train["text"].seeds == [2, 1]


def test_a_missing_section_says_so(tmp_path: Path) -> None:
    content = {name: value for name, value in SMALL.items() if name != "split"}
    write_params(tmp_path, content)
    with pytest.raises(InputError, match=r"split: expected a value; found none"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prepare: [", "expected plain YAML"),
        ("!!python/object/apply:os.system ['true']", "expected plain YAML"),
        ("a: 1\na: 2\n", "expected plain YAML"),
        ("- a\n", "expected a mapping"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
            "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e]\n",
            "do not nest aliases",
        ),
        ("x: " + "y" * (1 << 20), "expected at most"),
    ],
)
def test_hostile_or_broken_yaml_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load_params(path)


def test_bytes_that_are_no_utf8_and_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    with pytest.raises(InputError, match="found no file"):
        load_params(path)
    path.write_bytes(b"a: \xff\xfe")
    with pytest.raises(InputError, match="expected UTF-8"):
        load_params(path)


def test_params_are_frozen(tmp_path: Path) -> None:
    params = _load(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        params.split.test = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed: 0", "seed: 2024-01-31", "split.seed: .*the date 2024-01-31, at which DVC stops; write it in quotes"),
        ("title: A small run", "title: 2024-01-31 10:00:00", "report.title: .*the date 2024-01-31 10:00:00"),
        ("title: A small run", "title: !!set {a}", "report.title: .*found set"),
        ("  text:\n", "  2024:\n", "train.2024: expected a name in text, found the number 2024.*quotes: '2024'"),
        ("  text:\n", "  2024-01-31:\n", "train.2024-01-31: expected a name in text, found the date"),
        ("threshold: 0.4", "missing: {1: 2, seed: 0}", "evaluate.missing.1: expected names in text alone"),
        ("fit: {}", "fit:", "fit: expected keys with values, found nothing behind the colon; write {}"),
        ("fit: {}", "fit: []", r"fit: expected keys with values, found \[\]; write {}"),
    ],
)
def test_what_dvc_could_not_keep_is_told_with_its_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    write_params(tmp_path, SMALL)
    text = (tmp_path / "params.yaml").read_text("utf-8").replace(old, new)
    (tmp_path / "params.yaml").write_text(text, "utf-8")
    line = 1 + next(at for at, each in enumerate(text.splitlines()) if new.strip() in each)
    with pytest.raises(InputError, match=rf"params.yaml:{line} {said}"):
        load_params(tmp_path / "params.yaml")


def test_a_number_in_quotes_is_a_name(tmp_path: Path) -> None:
    assert "2024" in _load(tmp_path, {"train/2024": {"features": ["both"], "head": "dummy"}}).train
