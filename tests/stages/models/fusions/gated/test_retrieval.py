"""Every fusion that learns by retrieval, from drawn weights to disk: repeatable, resumable, without leaks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from stages.contract import SilentProgress
from stages.models.fusions.gated.gated import Gated2dFusion, GatedFusion
from stages.models.fusions.gated.joint import JointFusion
from stages.models.fusions.gated.retrieval import RetrievalFusion
from stages.models.training.checkpoints import Checkpoints
from stages.models.training.epochs import Watch
from store.errors import RunError
from tests.rules.scikit_checks import hold
from tests.stages.models.fusions.gated.sentences import Killed, Killing, Sentences, files, sentences

SMALL = {"width": 8, "heads": 2, "feedforward": 16}
KINDS: dict[str, Callable[..., RetrievalFusion]] = {
    "gated": GatedFusion,
    "short": lambda *layout, **chosen: GatedFusion(*layout, hidden=False, **chosen),
    "gated2d": Gated2dFusion,
    "joint": lambda *layout, **chosen: JointFusion(*layout, **SMALL, **chosen),
    "plain": lambda *layout, **chosen: JointFusion(*layout, **SMALL, layers=0, output="image", **chosen),
    "joint-gated": lambda *layout, **chosen: JointFusion(*layout, **SMALL, output="gated", **chosen),
    "joint-gated2d": lambda *layout, **chosen: JointFusion(*layout, **SMALL, output="gated2d", **chosen),
}
EVERY = pytest.mark.parametrize("kind", KINDS)
QUICK: dict[str, Any] = {"epochs": 4, "lr": 1e-2, "batch": 16}
MADE = sentences()


def fitted(kind: str, x: np.ndarray | None = None, made: Sentences = MADE, **chosen: Any) -> RetrievalFusion:
    fusion = KINDS[kind](made.layout, **{**QUICK, **chosen})
    fusion.fit(made.joined() if x is None else x)
    return fusion


def saved(fusion: RetrievalFusion, folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    fusion.save(folder)
    return files(folder)


@pytest.mark.parametrize("cells", ["regions", "map"])
@EVERY
def test_the_loss_falls(kind: str, cells: str) -> None:
    history = fitted(kind, made=sentences(cells=cells), epochs=8).history_
    assert [each.epoch for each in history] == list(range(1, 9))
    assert history[-1].train_loss < history[0].train_loss


def found_first(fusion: RetrievalFusion, x: np.ndarray, number: np.ndarray) -> float:
    """How often the nearest other picture is one of the same sentence."""
    z = fusion.transform(x)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    nearest = (z @ z.T - 3 * np.eye(len(z))).argmax(axis=1)
    return float((number[nearest] == number).mean())


def test_what_pictures_alone_tell_of_their_sentence_is_learnt() -> None:
    made = sentences(600)
    made.image["vectors"][:, 3:] = np.random.default_rng(1).normal(size=(600, 3)) * 3  # tell nothing, loudly
    x = made.joined()
    seeded, learnt = (
        fitted("plain", x[:400], made, train=signal, epochs=20, lr=3e-3) for signal in ("none", "retrieval")
    )
    before, after = (found_first(each, x[400:], made.number[400:]) for each in (seeded, learnt))
    assert after > before + 0.15


@EVERY
def test_it_comes_back_from_disk(kind: str, tmp_path: Path) -> None:
    fusion, x = fitted(kind), MADE.joined()
    written = saved(fusion, tmp_path / "it")
    assert list(written) == ["fusion.safetensors"]
    again = KINDS[kind](MADE.layout, seed=9).restore(tmp_path / "it")
    np.testing.assert_array_equal(again.transform(x), fusion.transform(x))
    assert saved(again, tmp_path / "again") == written


@EVERY
def test_equal_seeds_give_equal_bytes_and_others_do_not(kind: str, tmp_path: Path) -> None:
    first, second = (saved(fitted(kind, seed=4), tmp_path / name) for name in ("first", "second"))
    assert first == second
    assert saved(fitted(kind, seed=5), tmp_path / "third") != first


@EVERY
def test_a_killed_run_ends_in_the_same_bytes(kind: str, tmp_path: Path) -> None:
    states = Checkpoints(tmp_path / "states", "it", "0" * 16)
    with pytest.raises(Killed):
        KINDS[kind](MADE.layout, **QUICK).fit(MADE.joined(), watch=Watch("fuse it", Killing(150), states))
    state = states.latest()
    assert state is not None
    assert state.epoch == 2
    resumed = KINDS[kind](MADE.layout, **QUICK).fit(MADE.joined(), watch=Watch("fuse it", SilentProgress(), states))
    whole = fitted(kind)
    assert saved(resumed, tmp_path / "resumed") == saved(whole, tmp_path / "whole")
    assert [each.epoch for each in resumed.history_] == [1, 2, 3, 4]


@EVERY
def test_rows_that_lack_an_input_or_a_twin_teach_nothing(kind: str, tmp_path: Path) -> None:
    present = np.ones((60, 2))
    present[:10, 0], present[10:20, 1] = 0, 0
    x = MADE.joined(present)
    before = saved(fitted(kind, x), tmp_path / "before")
    wild = x.copy()
    wild[:20, :-2] = np.random.default_rng(1).normal(size=wild[:20, :-2].shape) * 50
    alone = np.concatenate([wild, MADE.joined()[:1] + 1])
    alone[-1, -2:] = 1
    assert saved(fitted(kind, alone), tmp_path / "after") == before
    x[20, :-2] += 1
    assert saved(fitted(kind, x), tmp_path / "other") != before


@EVERY
def test_rows_without_inputs_have_finite_vectors_and_rows_do_not_influence_each_other(kind: str) -> None:
    fusion = fitted(kind)
    present = np.random.default_rng(2).integers(0, 2, (60, 2))
    together = fusion.transform(MADE.joined(present))
    assert np.isfinite(together).all()
    alone = np.concatenate([fusion.transform(row[None]) for row in MADE.joined(present)])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    assert fusion.transform(MADE.joined()[:0]).shape == (0, together.shape[1])


@pytest.mark.parametrize("kind", ["gated", "gated2d", "joint-gated"])
def test_what_is_gated_is_zero_where_there_is_no_picture(kind: str) -> None:
    x = MADE.joined(np.tile([1, 0], (60, 1)))
    assert not fitted(kind).transform(x).any()


@EVERY
@pytest.mark.parametrize("number", [np.arange(60), np.zeros(60, int)])
def test_without_two_shared_texts_one_warning_is_given_and_the_seeded_weights_stay(
    kind: str, number: np.ndarray, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    made = sentences()
    made.text["vectors"] = np.tile(number[:, None], (1, 5))
    made.text["tokens"] = np.tile(number[:, None, None], (1, 4, 5))
    made.text["token_mask"] = np.ones((60, 4))
    with caplog.at_level(logging.WARNING, "diptych.fusions"):
        fusion = fitted(kind, made=made)
    assert len(caplog.records) == 1
    assert "no two texts are shared by several of the 60 train rows that have all inputs" in caplog.text
    assert fusion.history_ == []
    seeded = saved(fitted(kind, train="none"), tmp_path / "seeded")
    assert saved(fusion, tmp_path / "it") == seeded
    assert saved(fitted(kind), tmp_path / "learnt") != seeded


@EVERY
def test_options_are_kept_by_name(kind: str) -> None:
    fusion = KINDS[kind](MADE.layout, train="none", lr=0.5, weight_decay=0.1, batch=3, epochs=2, seed=8, device="cpu")
    found = fusion.get_params()
    assert (found["train"], found["lr"], found["weight_decay"], found["batch"]) == ("none", 0.5, 0.1, 3)
    assert (found["epochs"], found["seed"], found["device"], found["layout"]) == (2, 8, "cpu", MADE.layout)
    copy = clone(fusion.fit(MADE.joined()))
    assert {name: value for name, value in copy.get_params().items() if name != "layout"} == {
        name: value for name, value in found.items() if name != "layout"
    }
    assert not hasattr(copy, "module_")


def test_another_layout_is_refused() -> None:
    with pytest.raises(RunError, match=r"expected 7 columns for blocks of \[2, 3\]; found 6"):
        GatedFusion((2, 3)).fit(np.zeros((4, 6), np.float32))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([KINDS[kind]() for kind in KINDS])
def test_it_is_an_estimator_as_scikit_learn_wants_them(estimator: Any, check: Any) -> None:
    hold(estimator, check)
