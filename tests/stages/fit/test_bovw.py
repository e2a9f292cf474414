"""`bovw` on real pictures: the checks of docs/systems/encoders.md#bovw, and pictures with little or nothing in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.fit.params import FitParams
from stages.models.encoders.artefact import Artefact
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.image.bovw import Described, VisualWords, describe, histograms, inside, unit
from stages.models.encoders.protocol import Placement
from store.errors import InputError
from tests.stages.fit.case import Case, Record, make_case, png, scenes

SMALL = {"encoder": "bovw", "field": "image", "k": 9}
FLAT = png(np.full((40, 160, 3), 200, np.uint8))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Case:
    case = make_case(tmp_path_factory.mktemp("bovw"))
    case.fit(**SMALL, regions="grid", grid=(2, 3))
    return case


def loaded(case: Case, choice: EncoderChoice | None = None) -> VisualWords:
    encoder = VisualWords(case.outputs.model, choice or EncoderChoice())
    assert encoder.load(Placement()).engine == "opencv"
    return encoder


@pytest.fixture(scope="module")
def encoder(fitted: Case) -> VisualWords:
    return loaded(fitted, EncoderChoice(map=True, regions=True))


def test_options_have_the_defaults_of_the_specification() -> None:
    options = FitParams(encoder="bovw", field="image").options.model_dump()
    assert options == {"k": 256, "dense": False, "sample": 100_000, "regions": "none", "grid": (4, 4)}


def test_rows_are_histograms_of_the_picture_and_its_cells(encoder: VisualWords) -> None:
    rows = encoder.encode(encoder.prepare([picture for _, picture in scenes()[:6]]))
    assert [(part.name, part.shape) for part in encoder.parts] == [
        ("vectors", (9,)),
        ("map", (9, 2, 3)),
        ("regions", (6, 9)),
    ]
    assert rows.shape == (6, encoder.dim) == (6, 9 + 54 + 54 + 1)
    np.testing.assert_allclose(np.linalg.norm(rows[:, :9], axis=1), 1, rtol=1e-6)
    maps, regions = rows[:, 9:63].reshape(6, 9, 2, 3), rows[:, 63:-1].reshape(6, 6, 9)
    assert (rows[:, -1] == 6).all()
    np.testing.assert_array_equal(maps.transpose(0, 2, 3, 1).reshape(6, 6, 9), regions)


@pytest.mark.parametrize("dense", [False, True])
def test_counts_sum_to_the_descriptors_and_cells_to_the_picture(encoder: VisualWords, dense: bool) -> None:
    for _, picture in scenes()[:6]:
        described = describe(picture, dense=dense)
        words = encoder.nearest(described)
        whole = histograms(words, np.ones((1, len(words)), np.bool_), 9)
        assert whole.sum() == len(described.vectors) > 0
        for grid in ((2, 3), (4, 4), (1, 1)):
            cells = histograms(words, inside(described, "regions", "grid", grid), 9)
            np.testing.assert_array_equal(cells.sum(axis=0), whole[0])


def test_the_three_boxes_are_those_of_a_picture_400_pixels_wide() -> None:
    pixels = np.array([0, 99.9, 100, 149.9, 150, 249.9, 250, 299.9, 300, 399.9], np.float32)
    described = Described(np.stack([pixels / 400, np.full(10, 0.5, np.float32)], axis=1), np.zeros((10, 128)))
    masks = inside(described, "regions", "boxes3", (4, 4))
    assert [np.flatnonzero(mask).tolist() for mask in masks] == [[0, 1], [4, 5], [8, 9]]


def test_each_descriptor_counts_for_the_nearest_word(encoder: VisualWords) -> None:
    described = describe(scenes()[0][1], dense=False)
    distances = np.linalg.norm(described.vectors[:, None] - encoder._words[None], axis=2)
    np.testing.assert_array_equal(encoder.nearest(described), distances.argmin(axis=1))


def test_the_order_of_train_pictures_does_not_matter(fitted: Case, tmp_path: Path) -> None:
    turned = Case(tmp_path, tuple(reversed(fitted.records))).written()
    turned.fit(**SMALL, regions="grid", grid=(2, 3))
    ours, theirs = (Artefact.open(case.outputs.model, "bovw") for case in (fitted, turned))
    assert ours.files == theirs.files
    assert ours.train != theirs.train


def test_a_sample_is_bounded_and_drawn_by_the_seed(case: Case) -> None:
    found = []
    for seed in (0, 1):
        card = case.fit(**SMALL, sample=50, seed=seed)
        assert card["descriptors"] > 100
        found.append(Artefact.open(case.outputs.model, "bovw").files)
    assert found[0] != found[1]


def test_a_flat_picture_is_legally_empty_and_dense_sees_it(fitted: Case, tmp_path: Path) -> None:
    encoder = loaded(fitted)
    assert encoder.zero_rows == "legal"
    assert not encoder.encode(encoder.prepare([FLAT])).any()
    dense = make_case(tmp_path)
    dense.fit(**SMALL, dense=True)
    row = loaded(dense).prepare([FLAT])[0]
    assert row.max() == pytest.approx(1)  # all descriptors are alike: one word


def test_pictures_without_descriptors_are_counted(case: Case, tmp_path: Path) -> None:
    records = tuple(
        Record(each.id, None, FLAT if row % 5 == 0 else each.picture, each.labels, each.part)
        for row, each in enumerate(case.records)
    )
    card = Case(tmp_path, records).written().fit(**SMALL)
    assert (card["without_descriptors"], card["left_out"], card["rows"]) == (8, 0, 24)


def test_fewer_descriptors_than_words_is_refused_with_both_numbers(case: Case) -> None:
    with pytest.raises(InputError, match=r"as many descriptors as words, 100000; found \d+ in the train"):
        case.fit(**{**SMALL, "k": 100_000})


def test_a_tiny_picture_is_doubled_once(fitted: Case) -> None:
    tiny = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    assert len(describe(png(tiny), dense=True).vectors) == 2 * 3  # 18 x 24 pixels
    assert len(describe(png(tiny[:1, :1]), dense=True).vectors) == 0
    assert not loaded(fitted).prepare([png(tiny[:1, :1])])[0].any()


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 5), (7, 16), (1, 900), (3000, 2), (1200, 40)])
def test_no_shape_is_too_odd(shape: tuple[int, int], dense: bool) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    described = describe(png(picture), dense=dense)
    assert described.places.shape == (len(described.vectors), 2)
    assert described.vectors.shape[1] == 128
    assert ((described.places >= 0) & (described.places < 1)).all()
    assert described.vectors.min(initial=0) >= 0
    assert described.vectors.max(initial=0) <= 255
    np.testing.assert_array_equal(described.vectors, np.rint(described.vectors))


def test_a_photograph_is_scaled_down_before_it_is_described() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (1100, 2200, 3)).astype(np.uint8)
    assert len(describe(png(picture), dense=True).vectors) == 64 * 128  # 512 x 1024 pixels


def test_regions_without_regions_in_the_fit_are_refused(case: Case) -> None:
    case.fit(**SMALL)
    with pytest.raises(InputError, match="fitted with `regions: grid` or `boxes3`"):
        VisualWords(case.outputs.model, EncoderChoice(regions=True))
    boxes = case.fit(**SMALL, regions="boxes3")
    assert boxes["encoder"] == "bovw"
    assert VisualWords(case.outputs.model, EncoderChoice(regions=True)).parts[1].shape == (3, 9)


def test_the_identity_tells_what_is_in_a_row(fitted: Case) -> None:
    alone, beside = VisualWords(fitted.outputs.model, EncoderChoice()), loaded(fitted, EncoderChoice(map=True))
    assert alone.identity() != beside.identity()
    assert alone.dim == 9


def test_an_empty_histogram_stays_empty() -> None:
    np.testing.assert_array_equal(unit(np.array([[0, 0], [3, 4]])), np.array([[0, 0], [0.6, 0.8]], np.float32))
