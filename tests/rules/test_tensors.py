"""What is saved as safetensors comes back number by number, whatever its layout in memory; there is one way to save."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, load_file

import tests
from stages.models.fusions.pca import FILE, PcaProjection
from store.files.tensors import ordered, save_tensors, tensor_bytes
from tests.rules.layouts import LAYOUTS, laid_out

ROOT = Path(tests.__file__).parents[1]
SOURCES = sorted(path for name in ("pipeline", "stages", "store", "benchmarks") for path in (ROOT / name).rglob("*.py"))
READERS = {"load", "load_file", "safe_open", "SafetensorError"}
VALUES = np.arange(24, dtype=np.float32).reshape(4, 6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_are_put_in_order_before_a_library_sees_them(layout: str) -> None:
    # By NumPy alone: of a view with steps, safetensors 0.8.0 would write memory that is not the array's.
    given = laid_out(VALUES, layout)
    assert layout in {"read only", "big-endian"} or not given.flags.c_contiguous
    (found,) = ordered({"a": given}).values()
    assert found.flags.c_contiguous
    assert found.dtype == given.dtype
    np.testing.assert_array_equal(found, VALUES)


def test_what_is_in_order_is_not_copied_and_a_single_number_stays_one() -> None:
    assert ordered({"a": VALUES})["a"] is VALUES
    assert ordered({"a": np.array(3.0)})["a"].shape == ()


@pytest.mark.parametrize(
    "layout", ["fortran", "big-endian"]
)  # as long in memory as in order: no harm without the guard
def test_they_come_back_and_equal_numbers_give_equal_bytes(layout: str, tmp_path: Path) -> None:
    given = {"a": laid_out(VALUES, layout), "b": np.array([True, False])}
    save_tensors(given, tmp_path / "a.safetensors")
    found = load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(found["a"], VALUES)
    assert found["a"].dtype == VALUES.dtype
    assert tensor_bytes(given) == tensor_bytes({**given, "a": VALUES}) == (tmp_path / "a.safetensors").read_bytes()
    np.testing.assert_array_equal(load(tensor_bytes(given))["a"], VALUES)


def test_the_components_of_a_pca_come_back_though_lapack_laid_them_out(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    projection = PcaProjection(4).fit(rows)
    projection.components_ = np.asfortranarray(projection.components_)  # as scikit-learn's own PCA leaves them
    assert not projection.components_.flags.c_contiguous
    projection.save(tmp_path)
    np.testing.assert_array_equal(load_file(tmp_path / FILE)["components"], projection.components_)
    restored = PcaProjection().restore(tmp_path)
    np.testing.assert_allclose(restored.transform(rows), projection.transform(rows), atol=1e-5)


def _savers(tree: ast.AST) -> Iterator[str]:
    """Yield what of a module may save NumPy's arrays by safetensors itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"safetensors", "safetensors.numpy"}:
            yield from (each.name for each in node.names if each.name not in READERS)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.partition(".")[0] == "safetensors")


def test_nobody_else_saves_arrays() -> None:
    assert len(SOURCES) > 100
    found = {path.relative_to(ROOT).as_posix(): list(_savers(ast.parse(path.read_text("utf-8")))) for path in SOURCES}
    assert found.pop("store/files/tensors.py") == ["save", "save_file"]
    assert not {path: names for path, names in found.items() if names}, "save through store.files.tensors"


@pytest.mark.parametrize(
    "line",
    [
        "from safetensors.numpy import load_file, save_file", "from safetensors.numpy import save as keep",
        "import safetensors.numpy", "import safetensors as st", "from safetensors import numpy, serialize_file",
    ],
)  # fmt: skip
def test_the_check_can_fail(line: str) -> None:
    assert list(_savers(ast.parse(line)))


def test_what_torch_saves_refuses_other_layouts_by_itself() -> None:
    import torch
    from safetensors.torch import save

    with pytest.raises(ValueError, match="non contiguous"):
        save({"a": torch.from_numpy(VALUES).T})
