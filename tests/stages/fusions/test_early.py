"""The `early` fusion of docs/systems/fusions.md#early: 4096 columns that no fitted encoder has touched."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from stages.encoders.catalog import ENCODERS, build_encoder
from stages.encoders.protocol import Placement
from stages.encoders.row import EncoderChoice
from stages.errors import InputError
from stages.fusions.catalog import FUSIONS, NoOptions, Recipe, count_mistakes
from stages.fusions.early import EarlyFusion
from stages.fusions.model import FusedModel
from stages.heads.model import Problem, Rows
from stages.heads.options import MlpOptions
from tests.scikit_checks import hold


def joined(bag: np.ndarray, pixels: np.ndarray) -> np.ndarray:
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
    z = EarlyFusion((1024, 3072)).fit_transform(joined(bag, pixels))
    assert z.shape == (1, 4096)
    np.testing.assert_array_equal(z[0, :3072], picture.transpose(2, 0, 1).ravel() / np.float32(255))
    np.testing.assert_array_equal(z[:, 3072:], bag)
    assert np.linalg.norm(z[0, 3072:]) == pytest.approx(1, abs=1e-6)
    assert not any(ENCODERS[name].fitted for name in ("hash", "pixels"))
    assert not FUSIONS["early"].learns


def test_the_picture_stands_first_in_z_and_last_among_the_inputs(example: tuple[np.ndarray, np.ndarray]) -> None:
    bag, pixels = example
    z = EarlyFusion((10, 12)).fit_transform(joined(bag, pixels))
    np.testing.assert_array_equal(z[:, :12], pixels.astype(np.float32) / np.float32(255))
    np.testing.assert_array_equal(z[:, 12:], bag)
    assert z.dtype == np.float32
    assert z[:, :12].min() >= 0
    assert z[:, :12].max() <= 1


def test_white_is_1_and_black_0() -> None:
    z = EarlyFusion((1, 3)).fit_transform(joined(np.zeros((2, 1)), np.array([[255] * 3, [0] * 3])))
    np.testing.assert_array_equal(z, [[1, 1, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("width", [1, 2, 13, 2048])
def test_vectors_of_a_network_are_no_pixels(width: int) -> None:
    x = joined(np.zeros((2, 10)), np.zeros((2, width)))
    with pytest.raises(InputError, match=rf"expected pixels as the last input, 3 x S x S columns; found {width}; give"):
        EarlyFusion((10, width)).fit(x)


def test_it_takes_a_text_and_a_picture() -> None:
    assert count_mistakes(FUSIONS["early"], 2) == []
    assert count_mistakes(FUSIONS["early"], 1) == ["fusion 'early' joins at least 2 features; found 1"]
    assert count_mistakes(FUSIONS["early"], 3) == ["fusion 'early' joins at most 2 features; found 3"]


def test_nothing_is_learnt_or_written(example: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    x = joined(*example)
    fusion = EarlyFusion((10, 12)).fit(x[:3])
    fusion.save(tmp_path)
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(EarlyFusion((10, 12)).restore(tmp_path).transform(x), fusion.transform(x))
    np.testing.assert_array_equal(clone(fusion).fit(x[3:]).transform(x), fusion.transform(x))


def test_a_head_learns_what_neither_input_tells_alone() -> None:
    rng = np.random.default_rng(1)
    pixels, bag = rng.integers(0, 256, (400, 12)), rng.normal(size=(400, 10))
    bright, word = pixels[:, :1] / 128 - 1, bag[:, :1]
    x, y = joined(bag, pixels), (bright + word > 0).astype(np.float32)
    options = MlpOptions(hidden=(16,), lr=0.01, batch=32, epochs=30)
    model = FusedModel((10, 12), Recipe("early", "mlp", "none", NoOptions(), options), Problem("multilabel", 1, 0))
    scores = model.fit(Rows(x[:250], y[:250]), Rows(x[250:300], y[250:300])).scores(x[300:])
    right = ((scores >= 0.5) == y[300:]).mean()
    assert right > 0.85
    assert right > max(((each[300:] > 0) == y[300:]).mean() for each in (bright, word))


@parametrize_with_checks([EarlyFusion()])
def test_it_is_an_estimator_as_scikit_learn_wants_them(estimator: Any, check: Any) -> None:
    hold(estimator, check)
