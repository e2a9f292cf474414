"""The fusions `early` and `pca`: pixels and words, principal coordinates; docs/systems/fusions.md#side-by-side."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from scipy.spatial.distance import pdist
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from stages.contract import SilentProgress
from stages.fuse.params import FuseParams
from stages.fuse.run import FuseInputs, FuseOutputs, run
from stages.models.encoders.catalog.encoders import ENCODERS, build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Placement
from stages.models.fusions.catalog import FUSIONS, ModelSpec, NoOptions, PcaOptions, count_mistakes
from stages.models.fusions.model import FusedModel
from stages.models.fusions.pca import PcaProjection
from stages.models.fusions.side_by_side import EarlyFusion, PcaFusion
from stages.models.heads.model import LabelledRows, Problem
from stages.models.heads.options import LinearOptions, MlpOptions
from stages.models.training.checkpoints import TrainingSettings
from store import open_matrix
from store.errors import InputError
from tests.rules.scikit_checks import hold
from tests.stages.models.fusions.gated.sentences import files


def joined_pixels(bag: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([bag, pixels, np.ones((len(bag), 2))], axis=1).astype(np.float32)


@pytest.fixture
def example() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    bag = rng.normal(size=(6, 10))
    return (bag / np.linalg.norm(bag, axis=1, keepdims=True)).astype(np.float32), rng.integers(0, 256, (6, 12))


def encoded(name: str, raws: list[Any], **chosen: Any) -> np.ndarray:
    encoder = build_encoder(name, EncoderChoice(**chosen))
    encoder.load(Placement())
    rows: np.ndarray = encoder.encode(encoder.prepare(raws))
    return rows


def test_a_caption_and_a_picture_become_4096_columns_without_a_fitted_encoder() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    bag = encoded("hash", ["a dog on a sofa"], dim=1024)
    pixels = encoded("pixels", [file.getvalue()], size=32, resize="squash")
    z = EarlyFusion((1024, 3072)).fit_transform(joined_pixels(bag, pixels))
    assert z.shape == (1, 4096)
    np.testing.assert_array_equal(z[0, :3072], picture.transpose(2, 0, 1).ravel() / np.float32(255))
    np.testing.assert_array_equal(z[:, 3072:], bag)
    assert np.linalg.norm(z[0, 3072:]) == pytest.approx(1, abs=1e-6)
    assert not any(ENCODERS[name].fitted for name in ("hash", "pixels"))
    assert not FUSIONS["early"].learns


def test_the_picture_stands_first_in_z_and_last_among_the_inputs(example: tuple[np.ndarray, np.ndarray]) -> None:
    bag, pixels = example
    z = EarlyFusion((10, 12)).fit_transform(joined_pixels(bag, pixels))
    np.testing.assert_array_equal(z[:, :12], pixels.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(z[:, 12:], bag)
    assert z.dtype == np.float32
    assert z[:, :12].min() >= 0
    assert z[:, :12].max() <= 1


def test_white_is_1_and_black_0() -> None:
    z = EarlyFusion((1, 3)).fit_transform(joined_pixels(np.zeros((2, 1)), np.array([[255] * 3, [0] * 3])))
    np.testing.assert_array_equal(z, [[1, 1, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("width", [1, 2, 13, 2048])
def test_vectors_of_a_network_are_no_pixels(width: int) -> None:
    x = joined_pixels(np.zeros((2, 10)), np.zeros((2, width)))
    with pytest.raises(InputError, match=rf"expected pixels as the last input, 3 x S x S columns; found {width}; give"):
        EarlyFusion((10, width)).fit(x)


def test_it_takes_a_text_and_a_picture() -> None:
    assert count_mistakes(FUSIONS["early"], 2) == []
    assert count_mistakes(FUSIONS["early"], 1) == ["fusion 'early' joins at least 2 features; found 1"]
    assert count_mistakes(FUSIONS["early"], 3) == ["fusion 'early' joins at most 2 features; found 3"]


def test_nothing_is_learnt_or_written(example: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    x = joined_pixels(*example)
    fusion = EarlyFusion((10, 12)).fit(x[:3])
    fusion.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(EarlyFusion((10, 12)).restore(tmp_path).transform(x), fusion.transform(x))
    np.testing.assert_array_equal(clone(fusion).fit(x[3:]).transform(x), fusion.transform(x))


def test_a_head_learns_what_neither_input_tells_alone() -> None:
    rng = np.random.default_rng(1)
    pixels, bag = rng.integers(0, 256, (400, 12)), rng.normal(size=(400, 10))
    bright, word = pixels[:, :1] / 128 - 1, bag[:, :1]
    x, y = joined_pixels(bag, pixels), (bright + word > 0).astype(np.float32)
    options = MlpOptions(hidden=(16,), lr=0.01, batch=32, epochs=30)
    model = FusedModel((10, 12), ModelSpec("early", "mlp", "none", NoOptions(), options), Problem("multilabel", 1, 0))
    scores = model.fit(LabelledRows(x[:250], y[:250]), LabelledRows(x[250:300], y[250:300])).scores(x[300:])
    right = ((scores >= 0.5) == y[300:]).mean()
    assert right > 0.85
    assert right > max(((each[300:] > 0) == y[300:]).mean() for each in (bright, word))


@parametrize_with_checks([EarlyFusion()])
def test_early_is_an_estimator_as_scikit_learn_wants_them(estimator: Any, check: Any) -> None:
    hold(estimator, check)


LAYOUT = (5, 6)
WHERE = pytest.mark.parametrize("where", ["per_modality", "fused"])


def joined(count: int = 50, seed: int = 0, present: np.ndarray | None = None) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 11)) * np.linspace(3, 0.5, 11) + 4
    return np.concatenate([vectors, np.ones((count, 2)) if present is None else present], axis=1).astype(np.float32)


def test_three_coordinates_of_each_input_stand_side_by_side() -> None:
    x = joined()
    z = PcaFusion(LAYOUT).fit_transform(x)
    assert z.shape == (50, 6)
    assert z.dtype == np.float32
    for block, own in ((x[:, :5], z[:, :3]), (x[:, 5:11], z[:, 3:])):
        np.testing.assert_array_equal(own, PcaProjection(3).fit(block).transform(block))


def test_fused_they_are_three_of_all_columns_together() -> None:
    x = joined()
    z = PcaFusion(LAYOUT, where="fused").fit_transform(x)
    assert z.shape == (50, 3)
    np.testing.assert_array_equal(z, PcaProjection(3).fit(x[:, :11]).transform(x[:, :11]))


@WHERE
def test_train_coordinates_have_mean_0_and_a_descending_diagonal_covariance(where: Any) -> None:
    z = PcaFusion(LAYOUT, where=where).fit_transform(joined())
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-4)
    for each in np.split(z, z.shape[1] // 3, axis=1):
        covariance = np.cov(each.T)
        np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-3)
        assert (np.diff(np.diag(covariance)) < 0).all()


@WHERE
def test_axes_are_orthonormal_and_one_row_projects_as_in_a_batch(where: Any) -> None:
    fusion, x = PcaFusion(LAYOUT, where=where).fit(joined()), joined(seed=1)
    for each in fusion.projections_:
        np.testing.assert_allclose(each.components_ @ each.components_.T, np.eye(3), atol=1e-5)
    alone = np.concatenate([fusion.transform(row[None]) for row in x])
    np.testing.assert_allclose(alone, fusion.transform(x), atol=1e-5)


def test_with_all_dimensions_distances_are_preserved() -> None:
    x = joined()
    z = PcaFusion(LAYOUT, components=11, where="fused").fit_transform(x)
    np.testing.assert_allclose(pdist(z), pdist(x[:, :11]), rtol=1e-4)


def test_whitened_coordinates_have_deviation_1() -> None:
    z = PcaFusion(LAYOUT, whiten=True).fit_transform(joined())
    np.testing.assert_allclose(z.std(axis=0, ddof=1), 1, atol=1e-4)


@WHERE
def test_rows_without_an_input_are_not_learnt_from(where: Any) -> None:
    present = np.ones((50, 2))
    present[30:40, 0], present[40:, 1] = 0, 0
    x = joined(present=present)
    wild = x.copy()
    wild[30:40, :5], wild[40:, 5:11] = 1e4, -1e4
    fusion, other = (PcaFusion(LAYOUT, where=where).fit(each) for each in (x, wild))
    for one, two in zip(fusion.projections_, other.projections_, strict=True):
        np.testing.assert_array_equal(one.components_, two.components_)
        np.testing.assert_array_equal(one.mean_, two.mean_)
    known = {"per_modality": present[:, 0] > 0, "fused": present.all(axis=1)}[where]
    np.testing.assert_allclose(fusion.projections_[0].mean_[:5], x[known, :5].mean(axis=0), atol=1e-5)


@WHERE
def test_an_input_that_no_train_row_has_is_an_error_that_names_it(where: Any) -> None:
    x = joined(present=np.tile([1.0, 0.0], (50, 1)))
    told = "projection 1 of 1" if where == "fused" else "projection 2 of 2"
    with pytest.raises(InputError, match=f"{told}: pca: expected train rows; found none"):
        PcaFusion(LAYOUT, where=where).fit(x)


def test_more_components_than_an_input_has_dimensions_are_refused() -> None:
    with pytest.raises(InputError, match=r"projection 1 of 2: pca: expected .* at most 5 components .* found 6"):
        PcaFusion(LAYOUT, components=6).fit(joined())


def test_an_input_that_never_varies_has_coordinates_0_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    x = joined()
    x[:, :5] = 7
    with caplog.at_level(logging.WARNING, "diptych.fusions"):
        z = PcaFusion(LAYOUT).fit_transform(x)
    assert "the 50 train rows are all equal" in caplog.text
    assert not z[:, :3].any()
    assert z[:, 3:].any()


@WHERE
def test_it_comes_back_from_disk(where: Any, tmp_path: Path) -> None:
    fusion, x = PcaFusion(LAYOUT, where=where, whiten=True).fit(joined()), joined(seed=1)
    fusion.save(tmp_path)
    names = ["projection-0"] if where == "fused" else ["projection-0", "projection-1"]
    assert sorted(files(tmp_path)) == [f"{name}/pca.safetensors" for name in names]
    again = PcaFusion(LAYOUT, where=where, whiten=True).restore(tmp_path)
    np.testing.assert_array_equal(again.transform(x), fusion.transform(x))
    np.testing.assert_array_equal(clone(fusion).fit(joined()).transform(x), fusion.transform(x))


@WHERE
def test_a_head_learns_from_the_coordinates_and_both_come_back(where: Any, make_toy: Any, tmp_path: Path) -> None:
    toy = make_toy("multilabel")
    recipe = ModelSpec("pca", "linear", "none", PcaOptions(where=where), LinearOptions(epochs=15, lr=0.05, batch=32))
    train, dev = LabelledRows(toy.joined[:100], toy.y[:100]), LabelledRows(toy.joined[100:120], toy.y[100:120])
    model = FusedModel((5, 4), recipe, Problem("multilabel", 3, 0)).fit(train, dev)
    assert model.history[-1].train_loss < model.history[0].train_loss
    model.save(tmp_path)
    again = FusedModel((5, 4), recipe, Problem("multilabel", 3, 0)).restore(tmp_path)
    np.testing.assert_array_equal(again.scores(toy.joined), model.scores(toy.joined))


PARTS = np.array(["train", "train", "train", "dev", "test"] * 8)


def fuse(dataset: Any, vectors: dict[str, np.ndarray], **params: Any) -> FuseOutputs:
    root = dataset.root
    outputs = FuseOutputs(root / "out" / "f.zarr.zip", root / "metrics" / "f.json", root / "models" / "f")
    paths = tuple(dataset.matrix(name, each) for name, each in vectors.items())
    settings = FuseParams(**{"fusion": "pca", "features": list(vectors), **params})
    run(
        settings, FuseInputs(dataset.manifest, dataset.split, paths), outputs, TrainingSettings("cpu"), SilentProgress()
    )
    return outputs


@WHERE
def test_noise_in_test_rows_changes_no_axis(where: str, dataset: Any) -> None:
    dataset.write("multiclass", np.arange(40) % 3, list(PARTS))
    x = joined(40)
    vectors = {"t": x[:, :5], "v": x[:, 5:11]}
    outputs = fuse(dataset, vectors, where=where)
    assert open_matrix(outputs.matrix).dim == (3 if where == "fused" else 6)
    before = files(outputs.model)
    for each in vectors.values():
        each[PARTS == "test"] *= -1e3
    assert files(fuse(dataset, vectors, where=where).model) == before
    vectors["v"][0] += 1
    assert files(fuse(dataset, vectors, where=where).model) != before


@pytest.mark.parametrize("wrong", [{"components": 0}, {"where": "both"}, {"n_components": 3}])
def test_wrong_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FuseParams(fusion="pca", features=["t"], **wrong)


# Of one component: many of these checks fit two columns, which the three components of the default rightly refuse.
@parametrize_with_checks([PcaFusion(components=1), PcaFusion(components=1, where="fused", whiten=True)])
def test_pca_is_an_estimator_as_scikit_learn_wants_them(estimator: Any, check: Any) -> None:
    hold(estimator, check)
