"""Which system and which matrices answer a query, told from the params alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pipeline.params.sections import Params
from pipeline.search.system import Words, choose_system, fields_of, used_features
from store.errors import InputError
from tests.pipeline.project import SMALL


def _params(**retrieve: list[str]) -> Params:
    params: dict[str, Any] = copy.deepcopy(SMALL)
    params["fit"] = {"pair": {"encoder": "bert-pair-ft", "field": "caption"}}
    params["embed"]["pair"] = {"encoder": "bert-pair-ft", "field": "caption", "fit": "pair"}
    params["reduce"] = {
        "colors": {"features": "image-colors", "components": 2},
        "pairs": {"features": "pair", "components": 2},
    }
    params["fuse"]["three"] = {"fusion": "concat", "features": ["caption-hash", "colors", "pairs"]}
    params["retrieve"] = {name: {"features": features} for name, features in retrieve.items()}
    return Params.model_validate(params)


@pytest.mark.parametrize(
    ("feature", "fields"),
    [
        ("caption-hash", ("caption",)),
        ("colors", ("image",)),
        ("pairs", ("caption", "image")),
        ("both", ("caption", "image")),
        ("three", ("caption", "image")),
    ],
)
def test_fields_are_told_through_reductions_pairs_and_fusions(feature: str, fields: tuple[str, ...]) -> None:
    assert fields_of(_params(), feature) == fields


@pytest.mark.parametrize("feature", ["pair", "pairs", "three"])
@pytest.mark.parametrize("given", ["caption", "image"])
def test_half_of_a_pair_is_refused_wherever_it_stands(feature: str, given: str) -> None:
    params = _params(x=[feature])
    with pytest.raises(InputError, match="give both --image and --text"):
        used_features(params, "x", frozenset({given}))
    assert used_features(params, "x", frozenset({"caption", "image"})) == ([feature], [])


@pytest.mark.parametrize(
    ("text", "pictured", "chosen"),
    [("a bus", True, "both"), ("a bus", False, "text"), (None, True, "image")],
)
def test_the_first_system_that_looks_at_just_what_is_given_goes_before_those_that_look_at_more(
    text: str | None, pictured: bool, chosen: str
) -> None:
    params = _params(both=["caption-hash", "colors"], image=["colors"], text=["caption-hash"], late=["caption-hash"])
    assert choose_system(params, None, Words(text, {}), pictured=pictured).name == chosen


def test_every_system_says_why_none_can_answer() -> None:
    params = _params(image=["colors"], text=["caption-hash"])
    with pytest.raises(InputError, match="image reads no text; text looks at no picture"):
        choose_system(params, None, Words("a bus", {}), pictured=True)


@pytest.mark.parametrize(
    ("named", "said"),
    [(["caption"], "expected NAME=TEXT"), (["=x"], "expected NAME=TEXT"), (["a=b", "a=c"], "'a' twice")],
)
def test_a_named_text_has_a_name_once(named: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Words.of(None, named)
    assert Words.of("x", ["a=b=c", "d="]).named == {"a": "b=c", "d": ""}
