"""The t-SNE panels of docs/systems/evaluation.md#t-sne: rows by hand, few rows, places and silhouettes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from threadpoolctl import threadpool_limits

from stages.evaluate.params import HighlightParams, TsneParams
from stages.evaluate.trained.tsne import draw_rows, fitting_perplexity, listed_ids, objection, project, separation
from stages.evaluate.truth import Truth
from store.errors import InputError
from store.items.manifest import Manifest

Make = Callable[[np.ndarray], Truth]


def params(**chosen: Any) -> TsneParams:
    return TsneParams(**{"experiments": ("x",), **chosen})


def highlight(name: str, ids: str = "ids.txt") -> HighlightParams:
    return HighlightParams(**{"class": name, "ids": ids})


@pytest.fixture
def truth(dataset: Any) -> Callable[[np.ndarray], Truth]:
    """What the rows of test are, of labels [n, K], or of values [n] for a regression."""

    def make(targets: np.ndarray) -> Truth:
        dataset.write("multilabel" if targets.ndim == 2 else "regression", targets, ["test"] * len(targets))
        return Truth.read(Manifest.open(dataset.manifest), np.array(["test"] * len(targets)), "test")

    return make


def single(count: int, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=bool)[np.arange(count) % classes]


def test_rows_bear_exactly_one_of_the_drawn_classes(truth: Make) -> None:
    labels = np.random.default_rng(0).random((200, 8)) < 0.3
    drawn = draw_rows(truth(labels), params(classes=4))
    chosen = np.unique(drawn.classes)
    assert len(chosen) == 4
    alone = labels[:, chosen].sum(axis=1) == 1
    np.testing.assert_array_equal(drawn.rows, np.flatnonzero(alone))
    assert labels[drawn.rows, drawn.classes].all()
    assert not drawn.marked.any()


def test_no_more_rows_of_a_class_than_asked_for_and_each_seed_draws_others(truth: Make) -> None:
    known = truth(single(200, 8))
    first, again, other = (draw_rows(known, params(classes=3, per_class=7, seed=seed)) for seed in (0, 0, 1))
    assert np.unique(first.classes, return_counts=True)[1].tolist() == [7, 7, 7]
    np.testing.assert_array_equal(first.rows, again.rows)
    assert first.rows.tolist() != other.rows.tolist()
    assert (np.diff(first.rows) > 0).all()
    seeds = [np.unique(draw_rows(known, params(classes=3, seed=seed)).classes) for seed in range(30)]
    assert set(np.concatenate(seeds)) == set(range(8))


def test_a_class_without_a_row_is_not_drawn_and_all_there_are_may_be(truth: Make) -> None:
    labels = single(30, 3)
    known = truth(np.concatenate([np.zeros((30, 5), bool), labels], axis=1))
    assert set(draw_rows(known, params(classes=10)).classes) == {5, 6, 7}


def test_the_marked_class_is_always_shown_and_its_listed_rows_before_others(truth: Make) -> None:
    known, listed = truth(single(200, 8)), frozenset({"i006", "i190", "i007"})  # i007 is of another class
    for seed in range(5):
        asked = params(classes=3, per_class=4, seed=seed, highlight=highlight("c6"))
        drawn = draw_rows(known, asked, listed)
        assert (drawn.classes == 6).sum() == 4
        assert len(np.unique(drawn.classes)) == 3
        assert [known.ids[row] for row in drawn.rows[drawn.marked]] == ["i006", "i190"]
        assert set(drawn.classes[drawn.marked]) == {6}


def test_what_has_no_classes_or_hardly_a_row_is_refused(truth: Make) -> None:
    with pytest.raises(InputError, match=r"expected experiments with classes, .*; found the task regression; set"):
        draw_rows(truth(np.arange(9.0)), params())
    with pytest.raises(InputError, match=r"expected at least 5 test rows .* 2 drawn classes; found 4; raise `classes`"):
        draw_rows(truth(single(8, 4)), params(classes=2))
    with pytest.raises(InputError, match=r"highlight.class: expected a class of the manifest; found 'c01' \(did you"):
        draw_rows(truth(single(40, 4)), params(highlight=highlight("c01")))


def test_ids_are_read_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes("\ufeffa 1\r\n\n b \n".encode())
    assert listed_ids(highlight("c", str(path)), frozenset({"a 1", "b", "c"})) == {"a 1", "b"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "expected a UTF-8 file of ids, one a line; found .*No such file"),
        (b"\xff\xfe", "expected a UTF-8 file of ids, one a line; found 'utf-8' codec"),
        (b" \n\n", "expected ids, one a line; found none"),
        (b"i1\ni22\n", r"expected ids of the manifest; found 1 that are not, such as 'i22' \(did you mean 'i2'"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(content: bytes | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        listed_ids(highlight("c", str(path)), frozenset({"i1", "i2"}))


@pytest.mark.parametrize(("rows", "found"), [(31, 30.0), (30, 29 / 3), (5, 4 / 3)])
def test_a_perplexity_that_is_not_less_than_the_rows_is_reduced_with_a_warning(
    rows: int, found: float, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "diptych"):
        assert fitting_perplexity("t", rows, 30.0) == found
    assert bool(caplog.records) == (rows <= 30)
    assert all(f"t-SNE of t: {rows} rows are too few for perplexity 30" in text for text in caplog.messages)


@pytest.mark.parametrize("rows", [5, 40])
def test_equal_seeds_give_equal_places_whatever_the_threads(rows: int) -> None:
    vectors = np.random.default_rng(0).normal(size=(rows, 6)).astype(np.float32)
    perplexity, places = fitting_perplexity("t", rows, 30.0), []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            places.append(project(vectors, perplexity, params()))
    assert places[0].shape == (rows, 2)
    np.testing.assert_array_equal(places[0], places[1])
    assert np.isfinite(places[0]).all()


def test_near_vectors_are_drawn_near() -> None:
    rng = np.random.default_rng(0)
    centres = np.repeat(rng.normal(size=(2, 12)) * 20, 20, axis=0)
    places = project((centres + rng.normal(size=(40, 12))).astype(np.float32), 10.0, params())
    within = [np.linalg.norm(side - side.mean(axis=0), axis=1).max() for side in (places[:20], places[20:])]
    assert np.linalg.norm(places[:20].mean(axis=0) - places[20:].mean(axis=0)) > sum(within)


def test_the_silhouette_by_hand_is_that_of_the_vectors() -> None:
    vectors = np.array([[0.0, 0], [0, 1], [4, 0], [4, 1]], np.float32)
    far = (4 + np.sqrt(17)) / 2
    assert separation(vectors, np.array([3, 3, 7, 7])) == pytest.approx((far - 1) / far)
    assert separation(vectors, np.array([3, 7, 3, 7])) == pytest.approx(((1 + np.sqrt(17)) / 2 - 4) / 4)
    assert separation(vectors, np.zeros(4, np.int64)) is None
    assert separation(vectors, np.arange(4)) is None


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.zeros((4, 3)), "4 rows have it, and 5 are the fewest"),
        (np.arange(9.0)[:, None], "its vectors are a single number"),
        (np.ones((9, 3)), "its vectors are all equal"),
        (np.random.default_rng(0).normal(size=(5, 2)), ""),
    ],
)
def test_vectors_that_are_no_plane_are_not_drawn(vectors: np.ndarray, said: str) -> None:
    assert objection(vectors.astype(np.float32)) == said


@pytest.mark.parametrize(
    "wrong", [{"experiments": ()}, {"classes": 0}, {"per_class": 0}, {"perplexity": 0.5}, {"seed": -1}, {"seed": 2**32}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        params(**wrong)
