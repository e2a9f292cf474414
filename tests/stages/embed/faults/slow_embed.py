"""Runs `embed` with a slow encoder as a process of its own, to be killed: slow_embed.py ROOT DELAY COMMIT_SECONDS."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(next(each for each in Path(__file__).resolve().parents if each.name == "tests").parent))

from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.protocol import Rows
from store import FeatureStore
from tests.stages.embed.album import Album
from tests.stages.embed.counting import Counting


def main(root: Path, delay: float, commit_seconds: float) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    encoder = Counting(delay=delay)

    def tell(batch: Sequence[Any], vectors: Rows) -> Rows:
        print("encoded", len(batch), flush=True)  # noqa: T201 (what the parent waits for)
        return vectors

    encoder.spoil = tell
    ENCODERS["counting"] = encoder.row("counting", "text")
    album = Album(root)
    result = album.embed(settings={"store": FeatureStore(album.store), "commit_seconds": commit_seconds})
    print(json.dumps(asdict(result)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
