"""The shared store fails under a running `diptych embed`: it keeps its rows, says so, and they are imported."""

from __future__ import annotations

import re
import time
from pathlib import Path

from store import FeatureStore, stats, verify
from tests.end_to_end.clones import embedded, make_clone, start
from tests.pipeline.project import call


def test_rows_are_spilled_told_and_imported(tmp_path: Path) -> None:
    clone, store = make_clone(tmp_path / "clone", range(60)), tmp_path / "shared"
    assert call(clone, "diptych", "prepare").returncode == 0
    run = start(clone, "diptych", "embed", "image-colors", store=store)
    deadline = time.monotonic() + 60
    while not (found := list(store.glob("v1/*/segments"))) and time.monotonic() < deadline:
        time.sleep(0.01)
    (segments,) = found
    # What a share that was unmounted, or swept by somebody, looks like to the next write; no mode would stop root.
    segments.rename(tmp_path / "away")
    segments.write_text("not a folder")
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 1, said
    spill = clone / ".diptych" / "spill"
    (told,) = re.findall(r"expected to store (\d+) finished rows in (\S+); found: .*`diptych store import (\S+)`", said)
    assert told == (str(stats(FeatureStore(spill)).rows), str(segments.parent), str(spill))
    assert "Traceback" not in said
    segments.unlink()
    (tmp_path / "away").rename(segments)
    kept = stats(FeatureStore(store)).rows
    done = call(clone, "diptych", "store", "import", ".diptych/spill", DIPTYCH_STORE=str(store))
    assert done.returncode == 0, done.stderr
    assert f"imported {told[0]} rows" in done.stdout
    again = call(clone, "diptych", "embed", "image-colors", DIPTYCH_STORE=str(store))
    had = kept + int(told[0])
    assert embedded(again.stdout) == {"image-colors": (had, 60 - had)}, again.stderr
    assert verify(FeatureStore(store), rows=True) == []
