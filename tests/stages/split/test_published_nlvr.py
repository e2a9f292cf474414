"""Both protocols of docs/systems/evaluation.md#p-group on the published dev set."""

from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs
from stages.prepare.run import run as prepare
from stages.split.params import SplitParams
from stages.split.run import run
from tests.stages.prepare.sets.nlvr import PUBLISHED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published dev set is not at hand"),
]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nlvr") / "out"
    prepare(PrepareParams(source="nlvr", path=str(PUBLISHED)), PrepareOutputs(folder), SilentProgress())
    return folder / "manifest.parquet"


def split(manifest: Path, folder: Path, **params: Any) -> dict[str, Any]:
    return run(SplitParams(**params), manifest, folder / "split.parquet", SilentProgress())


def test_p_image_asks_with_a_fifth_of_the_rows(manifest: Path, tmp_path: Path) -> None:
    summary = split(manifest, tmp_path, protocol="P-image")
    assert summary["roles"] == {"query": 1187, "gallery": 4747}
    assert summary["straddling_groups"] == 267
    assert summary["untrained_classes"]["count"] == 0


def test_p_group_asks_with_one_picture_of_each_held_out_example(manifest: Path, tmp_path: Path) -> None:
    summary = split(manifest, tmp_path, protocol="P-group")
    assert summary["held_out"] == ["4", "5"]
    assert summary["roles"] == {"query": 162 + 163, "gallery": 5 * (162 + 163)}
    assert summary["rows"]["train"] + summary["rows"]["dev"] == 6 * (165 + 165 + 167 + 167)
    strict = split(manifest, tmp_path, protocol="P-group", strict_text=True)
    assert strict["roles"] == {"query": 325 - 16, "gallery": 5 * (325 - 16)}
    assert (strict["spanning_labels"], strict["spanning_rows"]) == (4, 96)


def test_every_directory_is_held_out_and_the_sentences_that_span_are_14_in_all(manifest: Path, tmp_path: Path) -> None:
    spanning = [split(manifest, tmp_path, protocol="P-group", held_out=1, seed=seed) for seed in range(6)]
    assert sorted(summary["held_out"] for summary in spanning) == [[str(number)] for number in range(6)]
    assert sum(summary["spanning_labels"] for summary in spanning) >= 2 * 14
