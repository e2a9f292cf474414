"""Matrices for other tools: `diptych export matrix`, and the lines that docs/matrices.md shows for each tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import paths
from pipeline.commands import matrix as command
from store import CorruptMatrix, MatrixBlock, MatrixHeader, write_matrix
from store.errors import InputError
from tests.end_to_end.docs.pages import blocks
from tests.pipeline.project import SMALL, write_params
from tests.rules.cards import write_card

IDS = ["a", "b", "ü", "d"]
PRESENT, OK = np.array([True, True, False, True]), np.array([True, True, True, False])
VECTORS = np.array([[1, 0.1], [-2, 65504], [0, 0], [0, 0]], np.float16)
HEADER = MatrixHeader(IDS, 2, "float16", np.array([0.5, 0.25]), {})
STORED = np.array([[1, 0.1], [-2, 65504], [0.5, 0.25], [0.5, 0.25]], np.float16)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_params(tmp_path, SMALL)
    (tmp_path / "dvc.yaml").touch()
    monkeypatch.chdir(tmp_path)
    put("caption-hash", VECTORS, HEADER)
    return tmp_path


def put(name: str, vectors: np.ndarray, header: MatrixHeader) -> None:
    info = write_matrix(paths.DATA / "embed" / f"{name}.zarr.zip", header, [MatrixBlock(vectors, PRESENT, OK)])
    write_card(paths.card("embed", name), {"digest": info.digest})


@pytest.mark.parametrize(("half", "kind"), [(False, np.float32), (True, np.float16)])
def test_parquet_npy_and_npz_hold_the_rows_of_the_matrix(project: Path, half: bool, kind: type) -> None:
    for suffix in ("parquet", "npy", "npz"):
        command("caption-hash", project / f"out.{suffix}", half=half)
    table = pq.read_table(project / "out.parquet")
    assert table.column_names == ["id", "present", "ok", "vector"]
    assert table["id"].to_pylist() == IDS
    assert table["present"].to_pylist() == PRESENT.tolist()
    assert table["ok"].to_pylist() == OK.tolist()
    assert table["vector"].type.list_size == 2
    plain, several = np.load(project / "out.npy"), np.load(project / "out.npz")
    rows = np.stack([np.array(row, kind) for row in table["vector"].to_pylist()])
    for vectors in (rows, plain, several["vectors"]):
        assert vectors.dtype == kind
        assert np.array_equal(vectors, STORED.astype(kind))
    assert several["ids"].tolist() == IDS
    assert (several["present"].tolist(), several["ok"].tolist()) == (PRESENT.tolist(), OK.tolist())


def test_bytes_stay_bytes_and_a_file_is_replaced(project: Path) -> None:
    header = MatrixHeader(IDS, 2, "uint8", np.zeros(2), {})
    put("image-colors", np.array([[1, 255], [3, 4], [0, 0], [0, 0]], np.uint8), header)
    for _ in range(2):
        command("image-colors", project / "out.npy")
    assert np.load(project / "out.npy").tolist() == [[1, 255], [3, 4], [0, 0], [0, 0]]
    assert sorted(each.name for each in project.glob("*out*")) == ["out.npy"]


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("caption-hsh", "out.npy", "did you mean 'caption-hash'"),
        ("caption-hash", "out.csv", r"ends in .parquet or .npy or .npz; found 'out.csv'"),
        ("caption-hash", "data.npy", "found the folder"),
        ("both", "out.npy", "found no file; run `dvc repro`"),
    ],
)
def test_wrong_input(project: Path, name: str, target: str, said: str) -> None:
    (project / "data.npy").mkdir()
    with pytest.raises(InputError, match=said):
        command(name, project / target)
    assert not list(project.glob("out*"))


def test_another_matrix_than_the_card_states_is_refused(project: Path) -> None:
    write_card(paths.card("embed", "caption-hash"), {"digest": "0" * 64})
    with pytest.raises(CorruptMatrix, match="expected the digest"):
        command("caption-hash", project / "out.npy")
    assert not (project / "out.npy").exists()


@pytest.mark.parametrize("tool", ["zarr", "xarray", "tensorstore", "h5py", "duckdb", "polars"])
def test_the_lines_of_the_docs(project: Path, tool: str) -> None:
    pytest.importorskip(tool)
    (block,) = (each for each in blocks("docs/matrices.md", "python") if each.text.startswith(f"import {tool}"))
    put("caption-minilm", VECTORS, HEADER)
    write_matrix(paths.DATA / "embed" / "caption-minilm.h5", HEADER, [MatrixBlock(VECTORS, PRESENT, OK)])
    (project / "params.yaml").write_text(
        (project / "params.yaml").read_text().replace("caption-hash", "caption-minilm")
    )
    command("caption-minilm", project / "vectors.parquet")
    names: dict[str, Any] = {}
    exec(block.text, names)  # noqa: S102 (the lines of our own page)
    assert np.array_equal(np.asarray(names["vectors"]), STORED)
