"""What each row of the benchmarks compares, in one line, and the goal it was given; for `__main__` and `book`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.timing import Row


@dataclass(frozen=True)
class Goal:
    """What a row should reach.

    Attributes
    ----------
    sense : {">=", "<="}
        Whether more or less is better.
    bound : float
        Of the ratio, or of the subject's own value in the row's unit.
    of : {"ratio", "value"}
        Which of the two.
    """

    sense: Literal[">=", "<="]
    bound: float
    of: Literal["ratio", "value"] = "ratio"

    def met(self, row: Row) -> bool:
        """Tell whether the row reaches it."""
        found = row["ratio"] if self.of == "ratio" else row["subject_value"]
        return bool(found >= self.bound if self.sense == ">=" else found <= self.bound)

    def told(self, row: Row) -> str:
        """Write it with its unit, for a line of text."""
        return f"{self.sense} {self.bound:g}{'' if self.of == 'ratio' else ' ' + row['unit']}"


GOALS = {
    "matrix.read.zarr": Goal(">=", 0.8),
    "matrix.read.h5": Goal(">=", 0.8),
    "matrix.gather.zarr": Goal("<=", 1.5),
    "matrix.gather.h5": Goal("<=", 1.5),
    "store.write.zarr": Goal(">=", 0.5),
    "store.write.h5": Goal(">=", 0.5),
    "store.lookup": Goal("<=", 1.0, "value"),
    "embed.text": Goal(">=", 4.0),
    "embed.text.exact": Goal(">=", 2.3),
    "embed.image": Goal(">=", 4.0),
    "embed.image.exact": Goal(">=", 2.0),
    "embed.image.bound": Goal(">=", 0.9),
    "embed.use": Goal(">=", 1.0),
    "train.epoch": Goal("<=", 1.2),
    "train.memory": Goal("<=", 1.2),
    "reduce.pca": Goal("<=", 1.0),
    "reduce.pca.memory": Goal("<=", 0.5),
    "repro.grow.rows": Goal("<=", 0.02),
    "repro.grow.bound": Goal("<=", 1.0),
    "repro.noop": Goal("<=", 1.5),
}

# Heading of the page -> the rows below it, each with what it says. The rows named `peer` are other libraries.
BOOK: dict[str, dict[str, str]] = {
    "Embedding": {
        "embed.text": "MiniLM with `precision: fast`, beside sentence-transformers as it comes",
        "embed.text.exact": "the same with `precision: exact`",
        "embed.use": "the packaged Universal Sentence Encoder, beside its package's own loop",
        "embed.image": "ResNet-50, `precision: fast` and `decode: fast`, beside a loop over timm and a DataLoader",
        "embed.image.exact": "the same with `precision: exact`",
        "embed.image.bound": "how near it comes to what decoder and forward pass, each alone, would allow together",
    },
    "Growing, and nothing to do": {
        "repro.grow": "1 % more items: the embed stages with our store, beside encoding all again, as DVC alone would",
        "repro.grow.rows": "of that the work on the new rows, beside the work on all rows",
        "repro.grow.bound": "its whole time, beside 2 % of the first run and starting up, which is nearly all of both",
        "repro.noop": "`dvc repro` with nothing to do, beside `dvc status`",
        "store.rerun": "`embed` again, inside one process: every row is stored",
        "store.grow": "`embed` inside one process with 1 % more texts; mostly the model's loading",
        "report.page": "`diptych report`, beside a Python that imports the same libraries",
    },
    "Store": {
        "store.write.zarr": "one segment as `.zarr.zip`, durably, beside `np.save` and fsync",
        "store.write.h5": "one segment as `.h5`, the same",
        "store.lookup": "which of 100,000 keys are stored, beside reading every segment",
    },
    "Matrices": {
        "matrix.read.zarr": "a whole `.zarr.zip` matrix into memory, beside `np.load`",
        "matrix.read.h5": "a whole `.h5` matrix, the same",
        "peer.read.zarr": "plain zarr on the same file",
        "peer.read.h5": "plain h5py on the same file",
        "matrix.verify.zarr": "the verification, once per file, beside `np.load`",
        "matrix.verify.h5": "the same for `.h5`",
        "matrix.gather.zarr": "random rows of an open `.zarr.zip` matrix, beside `np.memmap`",
        "matrix.gather.h5": "the same for `.h5`",
        "peer.gather.zarr": "plain zarr on the same file",
        "peer.gather.h5": "plain h5py on the same file",
    },
    "Stage two": {
        "train.epoch": "one epoch of `train` from matrices on disk, beside a plain torch loop in memory",
        "train.memory": "what an epoch keeps in memory, beside an epoch on a quarter of the rows",
        "reduce.pca": "PCA from a matrix on disk, beside scikit-learn in memory",
        "reduce.pca.memory": "its memory on a million rows, beside the size of the matrix",
    },
}
