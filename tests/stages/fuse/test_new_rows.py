"""New rows of `fuse`: those of the matrix made again are the same, and what does not belong together is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.fuse.new_rows import FuseNewRows
from stages.fuse.params import FuseParams
from stages.fuse.run import FuseInputs, FuseOutputs, run
from stages.models.features.table import absent_input, read_input
from stages.models.training.checkpoints import TrainingSettings
from store import open_matrix
from store.errors import InputError

SOME = np.array([3, 19, 0, 7])  # 19 lacks the second input


def fused(dataset: Any, **params: Any) -> FuseNewRows:
    dataset.write("multiclass", np.arange(20) % 2, ["train"] * 16 + ["test"] * 4)
    rng, settings = np.random.default_rng(0), FuseParams(**{"features": ["t", "v"], "scale": "standard", **params})
    sources = (
        dataset.matrix("t", rng.normal(2, 3, (20, 4)).astype(np.float32), missing=0.5),
        dataset.matrix("v", rng.normal(-9, 1, (20, 3)).astype(np.float32), usable=np.arange(20) < 19, missing=0.5),
    )
    outputs = FuseOutputs(dataset.root / "out/f.zarr.zip", dataset.root / "out/f.json", dataset.root / "out/f")
    inputs = FuseInputs(dataset.manifest, dataset.split, sources)
    run(settings, inputs, outputs, TrainingSettings("cpu"), SilentProgress())
    matrices = [open_matrix(each) for each in sources]
    return FuseNewRows(settings, matrices, open_matrix(outputs.matrix), outputs.model, "cpu")


@pytest.mark.parametrize("params", [{"fusion": "concat"}, {"fusion": "pca", "components": 2}])
def test_several_rows_at_once_are_those_of_the_matrix(dataset: Any, params: dict[str, Any]) -> None:
    new = fused(dataset, **params)
    found = new.of([read_input(each, SOME, ()) for each in new.sources])
    np.testing.assert_allclose(found.vector, new.matrix.rows(SOME), atol=1e-6)
    assert (found.vector.dtype, found.present.tolist()) == (np.float32, [True] * 4)
    absent = new.of([absent_input(each, 2) for each in new.sources])
    np.testing.assert_allclose(absent.vector, [new.matrix.missing_vector] * 2, atol=1e-6)
    assert not absent.present.any()


def test_other_sources_another_fusion_or_a_model_that_is_gone_are_refused(dataset: Any) -> None:
    new = fused(dataset, fusion="pca", components=2)
    given = new.params, new.sources, new.matrix, new.folder
    with pytest.raises(InputError, match="expected a matrix made from the present sources; found another"):
        FuseNewRows(given[0], given[1][::-1], given[2], given[3], "cpu")
    with pytest.raises(InputError, match="expected a matrix made from the present fusion; found another"):
        FuseNewRows(FuseParams(fusion="concat", features=["t", "v"]), *given[1:], "cpu")
    with pytest.raises(InputError, match=r"expected what `fuse` fitted at .*gone; found none"):
        FuseNewRows(*given[:3], new.folder / "gone", "cpu").restore()
