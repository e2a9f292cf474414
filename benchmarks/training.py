"""Times one epoch of `train` beside a plain torch loop, and weighs what a training keeps in memory.

``python -m benchmarks.training`` prints a table; `measure` returns the rows of it. The trainer reads its batches from
two matrices of float16 on disk, joins them and runs skorch; the peer has one float32 tensor in memory and a loop of ten
lines. Both train the same network with the same batch, optimiser and clipping, and take turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import Row, against
from stages.models.features.table import FeatureTable, layout_of
from stages.models.fusions.catalog import ModelSpec, NoOptions
from stages.models.fusions.model import FusedModel
from stages.models.heads.model import LabelledRows, Problem
from stages.models.heads.network import Mlp
from stages.models.heads.options import LinearOptions, MlpOptions, NetworkOptions
from stages.models.training.epochs import UNWATCHED, Watch
from store import Matrix, MatrixBlock, MatrixHeader, open_matrix, write_matrix

_WIDTHS = {"text": 384, "image": 1280}
_LABELS = 20
_BLOCK = 8192
_MEMORY_BATCH = 1024


@dataclass(frozen=True)
class Case:
    """Two aligned matrices, and labels that hang on the first few numbers of each."""

    folder: Path
    rows: int

    def path(self, name: str) -> Path:
        """Return the file of one matrix."""
        return self.folder / f"{name}.zarr.zip"

    def written(self) -> Case:
        """Write the matrices."""
        ids = [f"item-{i:07}" for i in range(self.rows)]
        for seed, (name, width) in enumerate(_WIDTHS.items()):
            header = MatrixHeader(ids, width, "float16", np.zeros(width))
            write_matrix(self.path(name), header, _blocks(self.rows, width, seed), durability="none")
        return self

    def train_rows(self, count: int) -> LabelledRows:
        """Return the first rows, read when they are asked for."""
        matrices = [self._matrix(name) for name in _WIDTHS]
        table = FeatureTable(matrices, np.arange(count), layout_of(matrices, {}, "concat"))
        labels = np.random.default_rng(9).random((count, _LABELS), dtype=np.float32) < 0.1
        return LabelledRows(table, labels.astype(np.float32))

    def _matrix(self, name: str) -> Matrix:
        return open_matrix(self.path(name), memory=self.folder / "verified")


def _blocks(rows: int, width: int, seed: int) -> Iterator[MatrixBlock]:
    generator = np.random.default_rng(seed)
    for start in range(0, rows, _BLOCK):
        n = min(_BLOCK, rows - start)
        vectors = generator.standard_normal((n, width), dtype=np.float32).astype(np.float16)
        yield MatrixBlock(vectors, np.ones(n, dtype=bool), np.ones(n, dtype=bool))


def _model(head: str, options: NetworkOptions, rows: LabelledRows) -> FusedModel:
    layout = rows.x.layout  # type: ignore[union-attr]
    return FusedModel(
        layout, ModelSpec("concat", head, "none", NoOptions(), options), Problem("multilabel", _LABELS, 0)
    )


def _ours(rows: LabelledRows, options: MlpOptions, watch: Watch = UNWATCHED) -> None:
    _model("mlp", options, rows).fit(rows, LabelledRows(rows.x[:0], rows.y[:0]), watch)


def _plain(x: torch.Tensor, y: torch.Tensor, options: MlpOptions) -> None:
    """Train as every tutorial does."""
    torch.manual_seed(0)
    network = Mlp(x.shape[1], y.shape[1], options.hidden, options.dropout)
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.lr, weight_decay=options.weight_decay, fused=True)
    for _ in range(options.epochs):
        for batch in torch.randperm(len(x)).split(options.batch):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), options.clip)
            optimizer.step()


def epochs(case: Case, repeats: int) -> list[Row]:
    """Time one epoch of the trainer and of the plain loop in turns."""
    options, rows = MlpOptions(epochs=1), case.train_rows(case.rows)
    x = torch.from_numpy(np.ascontiguousarray(rows.x[:][:, : -len(_WIDTHS)]))
    y = torch.from_numpy(rows.y)
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for turn in range(repeats + 1):
        for name, action in (("ours", lambda: _ours(rows, options)), ("plain", lambda: _plain(x, y, options))):
            start = time.perf_counter()
            action()
            if turn:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    ours, plain = (float(np.median(each)) for each in seconds.values())
    size = " + ".join(map(str, _WIDTHS.values()))
    note = f"{case.rows} rows of {size} float16, mlp 512-256, batch {options.batch}, {torch.get_num_threads()} threads"
    peer = "torch, float32 in memory"
    return against(peer, {"train.epoch": ours, peer: plain}, "s", note)


class _Weighing:
    """A progress that looks at the process's own memory after each batch; pages of mapped files do not count."""

    def __init__(self) -> None:
        self.most = 0

    @contextmanager
    def track(self, description: str, total: int | None) -> Iterator[_Weighing]:  # noqa: ARG002
        yield self

    def advance(self, n: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.most = max(self.most, anonymous_bytes())


def anonymous_bytes() -> int:
    """Return what this process holds in memory that no file stands behind."""
    status = Path("/proc/self/status").read_text("utf-8")
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))


def weigh(folder: Path, rows: int, count: int) -> int:
    """Return how many bytes an epoch on the first `count` of the rows adds to this process at its peak."""
    given, weighing = Case(folder, rows).train_rows(count), _Weighing()
    before = anonymous_bytes()
    model = _model("linear", LinearOptions(epochs=1, batch=_MEMORY_BATCH), given)
    model.fit(given, LabelledRows(given.x[:0], given.y[:0]), Watch("weigh", weighing))
    return weighing.most - before


def memory(case: Case, fewer: int) -> list[Row]:
    """Weigh an epoch on all rows and on fewer, each in a process of its own: nothing may grow with the rows."""
    most, least = (_weighed(case, count) / 1e9 for count in (case.rows, fewer))
    size = " + ".join(map(str, _WIDTHS.values()))
    note = f"what one epoch adds at its peak: {case.rows} and {fewer} rows of {size} float16, linear, batch 1024"
    peer = f"the same, {fewer} rows"
    return against(peer, {"train.memory": most, peer: least}, "GB", note)


def _weighed(case: Case, count: int) -> int:
    code = "import sys, pathlib; from benchmarks.training import weigh; "
    code += "print(weigh(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))"
    command = [sys.executable, "-c", code, str(case.folder), str(case.rows), str(count)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 (our own code)


def measure(rows: int = 100_000, repeats: int = 2, weighed: int = 400_000) -> list[Row]:
    """Run both.

    Returns
    -------
    list of dict
        As `benchmarks.matrix.measure` gives them; less is better.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        found += epochs(Case(Path(folder), rows).written(), repeats)
    with tempfile.TemporaryDirectory() as folder:
        found += memory(Case(Path(folder), weighed).written(), weighed // 4)
    return found


def main() -> None:
    """Read the sizes, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--weighed", type=int, default=400_000)
    options = parser.parse_args()
    for row in measure(options.rows, options.repeats, options.weighed):
        values = f"{row['subject_value']:>10.4g} {row['unit']:<4}{row['peer_value']:>10.4g} {row['peer']:<26}"
        sys.stdout.write(f"{row['name']:<16}{values}{row['ratio']:>8.3f}  {row['note']}\n")


if __name__ == "__main__":
    main()
