"""The visual-semantic fusions on matrices: what they read beside the vectors, kept in files until a batch needs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.errors import InputError
from stages.fusions.catalog import Recipe
from stages.fusions.layout import Block
from stages.fusions.model import FusedModel
from stages.fusions.table import FeatureTable, layout_of, missing_row
from stages.heads.model import Rows
from store import Matrix, MatrixArray, MatrixBlock, MatrixHeader, open_matrix, write_matrix
from tests.stages.fusions.pair_toy import FUSIONS, LONGEST, PLACES, SEEN, WORDS, Toy
from tests.stages.fusions.test_pair_fusions import OPTIONS

ROWS = np.arange(120)


def matrix(path: Path, vectors: np.ndarray, arrays: Mapping[str, np.ndarray], usable: np.ndarray) -> Matrix:
    kinds = {name: "bool" if name.endswith("mask") else "float32" for name in arrays}
    beside = tuple(MatrixArray(name, each.shape[1:], kinds[name]) for name, each in arrays.items())
    ids = [f"i{row}" for row in range(len(vectors))]
    header = MatrixHeader(ids, vectors.shape[1], "float32", np.zeros(vectors.shape[1], np.float32), {}, arrays=beside)
    values = {name: each.astype(kinds[name]) for name, each in arrays.items()}
    block = MatrixBlock(vectors.astype(np.float32), usable, usable, values)
    write_matrix(path, header, [block], durability="none")
    return open_matrix(path)


def written(toy: Toy, name: str, image: str, folder: Path) -> list[Matrix]:
    there = np.ones(len(toy.map), np.bool_)
    here = there & (np.arange(len(toy.map)) % 7 > 0)
    places = toy.map.reshape(len(toy.map), SEEN, PLACES)
    seen = {
        "map": {"map": toy.map},
        "regions": {"regions": places.transpose(0, 2, 1), "region_mask": np.ones((len(toy.map), PLACES))},
    }
    words = matrix(
        folder / "words.h5", np.zeros((len(toy.map), 2)), {"tokens": toy.tokens, "token_mask": toy.mask}, here
    )
    picture = matrix(folder / "picture.h5", places.mean(2), seen.get(image, {"map": toy.map}), there)
    return [words, matrix(folder / "pair.h5", toy.pair, {}, there), picture] if name == "dpm" else [words, picture]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("vse", "vector"),
        ("cim", "map"),
        ("coot", "regions"),
        ("sapool", "vector"),
        ("dpm", "vector"),
        ("dense", "vector"),
    ],
)
def test_it_learns_from_files_comes_back_and_reads_no_array_it_does_not_need(
    name: str, image: str, tmp_path: Path
) -> None:
    toy = Toy("multiclass", 120)
    matrices = written(toy, name, image, tmp_path)
    layout = layout_of(matrices, FUSIONS[name].needs, name)
    assert layout == toy.layout(image, pair=name == "dpm")
    recipe = Recipe(name, "native", "standard", FUSIONS[name].options(**{**OPTIONS[name], "epochs": 2}), None)
    tables = [FeatureTable(matrices, rows, layout) for rows in (ROWS[:80], ROWS[80:100])]
    model = FusedModel(layout, recipe, toy.problem).fit(Rows(tables[0], toy.y[:80]), Rows(tables[1], toy.y[80:100]))
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    again = FusedModel(layout, recipe, toy.problem).restore(tmp_path / "model")
    x = FeatureTable(matrices, ROWS[100:], layout)[:]
    np.testing.assert_array_equal(again.scores(x), model.scores(x))
    nothing: Any = model.scores(missing_row(matrices, layout)[None])
    assert np.isfinite(nothing).all()


@pytest.mark.parametrize("name", list(OPTIONS))
def test_a_matrix_without_words_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    plain = matrix(tmp_path / "plain.h5", np.zeros((3, 2)), {}, np.ones(3, np.bool_))
    with pytest.raises(InputError, match=rf"fusion {name}: expected tokens beside the vectors of .*`tokens: true`"):
        layout_of([plain] * FUSIONS[name].inputs[0], FUSIONS[name].needs, name)


@pytest.mark.parametrize("name", ["cim", "coot"])
def test_a_picture_without_map_or_regions_is_refused_with_the_remedy(name: str, tmp_path: Path) -> None:
    toy = Toy("multiclass", 3)
    words = matrix(
        tmp_path / "w.h5", np.zeros((3, 2)), {"tokens": toy.tokens, "token_mask": toy.mask}, np.ones(3, bool)
    )
    plain = matrix(tmp_path / "plain.h5", np.zeros((3, 2)), {}, np.ones(3, np.bool_))
    with pytest.raises(InputError, match=rf"fusion {name}: expected map or regions beside the vectors of .*plain.h5"):
        layout_of([words, plain], FUSIONS[name].needs, name)
    block = layout_of([words, plain], FUSIONS["vse"].needs, "vse")[0]
    assert block == Block(2, {"tokens": (LONGEST, WORDS), "token_mask": (LONGEST,)})
