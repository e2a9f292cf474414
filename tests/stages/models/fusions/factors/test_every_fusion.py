"""What `mf`, `cmf`, `mmeda1` and `mmeda2` have in common: transformers that repeat, resume and come back from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from stages.contract import SilentProgress
from stages.models.fusions.catalog import FUSIONS, ModelSpec
from stages.models.fusions.factors.cmf import CmfFusion
from stages.models.fusions.factors.mf import MfFusion
from stages.models.fusions.factors.mmeda import Mmeda1Fusion, Mmeda2Fusion
from stages.models.fusions.model import FusedModel
from stages.models.heads.catalog import HEADS
from stages.models.heads.model import LabelledRows, Problem
from stages.models.training.checkpoints import Checkpoints
from stages.models.training.epochs import Watch
from store.errors import RunError
from tests.rules.scikit_checks import hold
from tests.stages.fit.killed import Counting, Killed
from tests.stages.models.fusions.factors.case import TINY, build, files, inputs, joined, widths

EVERY = pytest.mark.parametrize("name", TINY)
ROWS = 20

# Numbers near 10,000 are among what is given: plain gradient descent bears them at a tiny rate only.
_CHECKED = [
    CmfFusion(components=1),
    MfFusion(components=3, hidden=4, epochs=2, lr=1e-15),
    MfFusion(components=3, hidden=4, epochs=2, step="batch"),
    Mmeda1Fusion(components=3, hidden=4, epochs=1, lr=1e-15),
    Mmeda2Fusion(components=3, hidden=4, epochs=1, lr=1e-15),
]


@parametrize_with_checks(_CHECKED)
def test_scikit_learn_finds_nothing_wrong_with_it(estimator: Any, check: Any) -> None:
    hold(estimator, check)


@pytest.mark.parametrize("name", ["mf", "cmf", "mmeda1", "mmeda2"])
def test_the_published_values_are_the_defaults_of_params_and_of_the_transformer(name: str) -> None:
    row = FUSIONS[name]
    made = row.build((), row.options(), Problem("multilabel", 1, 7, "cpu"))
    assert isinstance(made, TINY[name][0])
    assert made.get_params() == {**TINY[name][0]().get_params(), "layout": (), "seed": 7}
    assert (row.vectors, row.learns) == (True, True)


@EVERY
def test_it_comes_back_from_disk_without_pickle(name: str, tmp_path: Path) -> None:
    blocks = inputs(name, ROWS)
    x = joined(blocks)
    fitted = build(name, widths(blocks)).fit(x)
    fitted.save(tmp_path)
    assert [Path(each).suffix for each in files(tmp_path)] == [".safetensors"]
    again = build(name, widths(blocks), seed=9).restore(tmp_path)
    z = fitted.transform(x)
    np.testing.assert_array_equal(again.transform(x), z)
    assert z.dtype == np.float32
    assert z.shape == (ROWS, fitted.components)
    assert again.transform(x[:0]).shape == (0, fitted.components)


@EVERY
def test_equal_seeds_give_equal_bytes_and_others_do_not(name: str, tmp_path: Path) -> None:
    blocks = inputs(name, ROWS)
    made = {}
    for label, seed in (("first", 4), ("second", 4), ("other", 5)):
        (tmp_path / label).mkdir()
        build(name, widths(blocks), seed=seed).fit(joined(blocks)).save(tmp_path / label)
        made[label] = files(tmp_path / label)
    assert made["first"] == made["second"]
    assert made["first"] != made["other"]


@EVERY
def test_a_killed_run_goes_on_to_the_same_bytes(name: str, tmp_path: Path) -> None:
    blocks = inputs(name, ROWS)
    whole = build(name, widths(blocks)).fit(joined(blocks))
    states = Checkpoints(tmp_path / "states", "it", "a" * 64)
    with pytest.raises(Killed):
        build(name, widths(blocks)).fit(joined(blocks), watch=Watch("fit it", Counting(2 * ROWS + 1), states))
    counting = Counting()
    resumed = build(name, widths(blocks)).fit(joined(blocks), watch=Watch("fit it", counting, states))
    assert counting.rows == counting.total == 2 * ROWS
    for label, each in (("whole", whole), ("resumed", resumed)):
        (tmp_path / label).mkdir()
        each.save(tmp_path / label)
    assert files(tmp_path / "whole") == files(tmp_path / "resumed")
    # Dataclasses with NaN differ from themselves; their words do not.
    assert str(whole.history_) == str(resumed.history_)
    assert len(whole.history_) == 4


@EVERY
def test_rows_do_not_influence_each_other(name: str) -> None:
    blocks, others = inputs(name, ROWS), inputs(name, ROWS, seed=1)
    fitted = build(name, widths(blocks)).fit(joined(blocks))
    z = fitted.transform(joined(blocks))
    mixed = {key: np.where(np.arange(ROWS)[:, None] < 5, blocks[key], others[key]) for key in blocks}
    changed = fitted.transform(joined(mixed))
    np.testing.assert_array_equal(changed[:5], z[:5])
    assert (changed[5:] != z[5:]).any(axis=1).all()
    np.testing.assert_allclose(fitted.transform(joined(blocks)[3:4]), z[3:4], rtol=1e-5, atol=1e-6)


@EVERY
def test_a_row_without_an_input_counts_as_its_missing_vector_does(name: str, tmp_path: Path) -> None:
    blocks = inputs(name, ROWS)
    blocks["v"][:4] = 0
    absent = np.ones((ROWS, 2))
    absent[:4, 1] = 0
    for label, present in (("there", None), ("absent", absent)):
        (tmp_path / label).mkdir()
        build(name, widths(blocks)).fit(joined(blocks, present)).save(tmp_path / label)
    assert files(tmp_path / "there") == files(tmp_path / "absent")


@pytest.mark.parametrize("name", ["mf", "mmeda1", "mmeda2"])
def test_a_training_that_diverges_says_so(name: str) -> None:
    blocks = inputs(name, ROWS)
    with pytest.raises(RunError, match="the training diverged; lower `lr`"):
        build(name, widths(blocks), lr=1e12).fit(joined(blocks))


@EVERY
def test_the_loss_falls(name: str) -> None:
    blocks = inputs(name, ROWS)
    losses = [line.train_loss for line in build(name, widths(blocks)).fit(joined(blocks)).history_]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["mf", "cmf", "mmeda1", "mmeda2"])
def test_a_head_learns_from_its_vectors_and_both_come_back(name: str, tmp_path: Path) -> None:
    blocks = inputs(name, 60)
    x, y = joined(blocks), (blocks["t"].sum(axis=1) > 0).astype(np.int64)
    head = HEADS["forest"].options(trees=5)
    options = FUSIONS[name].options(**TINY[name][1])
    problem = Problem("multiclass", 2, 0)
    recipe = ModelSpec(name, "forest", "none", options, head)
    model = FusedModel(widths(blocks), recipe, problem).fit(
        LabelledRows(x[:40], y[:40]), LabelledRows(x[40:50], y[40:50]), Watch("train", SilentProgress())
    )
    model.save(tmp_path)
    scores = model.scores(x[50:])
    assert scores.shape == (10, 2)
    again = FusedModel(widths(blocks), recipe, problem).restore(tmp_path)
    np.testing.assert_array_equal(again.scores(x[50:]), scores)
