"""An encoder that workers register when they start (a dask preload): a test cannot reach into their process.

Importing this registers nothing: in the process of the tests the catalogue belongs to other files too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.protocol import Raw, Rows
from tests.stages.embed.counting import Counting, vector_of

LOG = "PARITY_LOG"
"""Names the file in which `slow` notes each batch: the process, and the contents."""
POISON = "poison"


class Slow(Counting):
    """Takes some milliseconds for a batch of sixteen, and writes down which; some texts have effects of their own."""

    budget = 16
    window = 64

    def encode(self, batch: Sequence[Raw]) -> Rows:
        time.sleep(0.01)
        with Path(os.environ[LOG]).open("a") as stream:  # one write, so lines of several processes stay whole
            stream.write("".join(f"{os.getpid()} {text}\n" for text in batch))
        if POISON in batch:
            os._exit(1)
        if "mistake" in batch:
            raise TypeError("expected a mistake of the code, found one")
        return np.stack([vector_of(each) for each in batch])


ROW = Slow().row("slow", "text")


def dask_setup(worker: object) -> None:  # noqa: ARG001 (dask calls it so)
    """Register the encoder in a worker."""
    ENCODERS["slow"] = ROW
