"""`prepare` whose pictures two real worker processes look at writes the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.machine.executors import DaskExecutor
from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from store.errors import InputError
from tests.parity.runs import Overheard
from tests.stages.prepare.desk import COLUMNS, Desk, picture

NAMES = ("manifest.parquet", "rejects.csv", "summary.json")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    rows = [f"r{n},{n % 12}.png,text {n},{'ab'[n % 2]}" for n in range(600)]  # no 10.png, and 11.png is none
    rows += ["words,,only words,a", "nothing,,,b", "out,../../etc/passwd,text,a"]
    (desk.data / "11.png").write_bytes(picture(3)[:50])
    desk.put("t.csv", "\n".join(["id,image,caption,kind", *rows]) + "\n")
    return desk


def prepared(desk: Desk, name: str, executor: DaskExecutor | Overheard | None) -> list[bytes]:
    asked = PrepareParams(source="table", path=str(desk.data), table=COLUMNS, max_reject_share=0.5)
    folder = desk.out.with_name(name)
    run(asked, PrepareOutputs(folder), SilentProgress(), executor=executor)
    return [(folder / each).read_bytes() for each in NAMES]


def test_the_manifest_and_the_rejects_are_those_of_one_process(workers: DaskExecutor, desk: Desk) -> None:
    overheard = Overheard(workers)
    assert prepared(desk, "apart", overheard) == prepared(desk, "here", None)
    assert len(overheard.tasks) == 3
    assert [len(report["seen"]) for report in overheard.reports].count(256) == 2
    assert len(str(overheard.reports)) < 150 * 600  # a key and a hash for each picture


def test_a_worker_without_the_pictures_drops_no_row_but_ends_the_run(workers: DaskExecutor, desk: Desk) -> None:
    overheard = Overheard(workers, altered=lambda task: {**task, "images": "/nowhere"})
    with pytest.raises(InputError, match=r"expected worker \S+ to read '0.png', which this process reads"):
        prepared(desk, "apart", overheard)
    assert not desk.out.with_name("apart").exists()
