"""NLVR version 1: one row for each picture, the sentence as its class, and the counts of the published dev set."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.sources.protocol import Folders, Reject
from stages.prepare.sources.published.nlvr import NlvrSource
from stages.prepare.summary import PrepareSummary
from store.errors import InputError
from store.items.keys import image_key
from store.items.manifest import Manifest
from store.items.records import Item
from tests.stages.prepare.sets.nlvr import PUBLISHED, sentence_of, write_nlvr


def source(folder: Path, **params: Any) -> NlvrSource:
    return NlvrSource(PrepareParams(source="nlvr", path=str(folder), **params), Folders(folder, folder))


def prepare(folder: Path, out: Path, **params: Any) -> tuple[Manifest, PrepareSummary]:
    summary = run(PrepareParams(source="nlvr", path=str(folder), **params), PrepareOutputs(out), SilentProgress())
    return Manifest.open(out / "manifest.parquet"), summary


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nlvr(tmp_path_factory.mktemp("nlvr"))


def test_a_row_for_each_picture(folder: Path, tmp_path: Path) -> None:
    manifest, summary = prepare(folder, tmp_path / "out")
    assert (summary.read, summary.kept, summary.groups, summary.rejected) == (216, 216, 18, {})
    assert summary.missing == {"image": 0, "caption": 0}
    assert summary.labelled == 216
    assert len(manifest.info.classes) == 16
    assert manifest.info.classes == tuple(sorted(manifest.info.classes))
    assert manifest.ids()[:7] == [*(f"100-0-{k}" for k in range(6)), "100-1-0"]
    assert manifest.images()[6] == "0/dev-100-1-0.png"
    assert manifest.info.root == str(folder / "dev" / "images")
    assert manifest.groups()[11:13] == ["100", "107"]
    assert manifest.texts("caption")[12] == sentence_of(1)
    assert manifest.info.classes[manifest.class_index()[12]] == sentence_of(1)
    assert [manifest.meta(name)[14] for name in ("directory", "identifier", "permutation")] == ["1", "107-0", "2"]
    assert set(manifest.meta("truth")) == {"true", "false"}


def test_the_pictures_of_the_permutations_are_those_of_the_files(folder: Path, tmp_path: Path) -> None:
    manifest, _ = prepare(folder, tmp_path / "out")
    keys, present = manifest.keys("image")
    assert present.all()
    for row in (0, 5, 215):
        file = folder / "dev" / "images" / (manifest.images()[row] or "")
        assert keys[row].tobytes() == image_key(file.read_bytes())


def test_the_folder_may_lie_below_nlvr_as_in_the_repository(tmp_path: Path) -> None:
    write_nlvr(tmp_path / "nlvr", "test", pictures=False)
    found = source(tmp_path, nlvr={"subset": "test"})
    assert found.expected == 216
    first = next(iter(found.items()))
    assert isinstance(first, Item)
    assert first.image == "0/test-100-0-0.png"


def test_a_limit_cuts_rows_and_classes(folder: Path) -> None:
    found = source(folder, limit=20)
    rows = list(found.items())
    assert found.expected == len(rows) == 20
    assert set(found.info.classes) == {sentence_of(0), sentence_of(1)}


def test_a_picture_that_is_not_there_is_one_reject(tmp_path: Path) -> None:
    write_nlvr(tmp_path / "data")
    (tmp_path / "data" / "dev" / "images" / "0" / "dev-100-0-3.png").unlink()
    manifest, summary = prepare(tmp_path / "data", tmp_path / "out")
    assert summary.rejected == {"missing-image": 1}
    assert "100-0-3" not in manifest.ids()
    assert "dev.json:1," in (tmp_path / "out" / "rejects.csv").read_text()


def rewrite(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> NlvrSource:
    path = write_nlvr(folder, pictures=False) / "dev" / "dev.json"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    change(records)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return source(folder)


@pytest.mark.parametrize(
    ("change", "reason", "told"),
    [
        ({"identifier": "12"}, "bad-record", "an identifier such as '12-3', found '12'"),
        ({"identifier": "../1-2"}, "bad-record", "an identifier"),
        ({"identifier": 5}, "bad-record", "an identifier such as '12-3', found 5"),
        ({"directory": "../0"}, "bad-record", "a directory such as '4', found '../0'"),
        ({"directory": None}, "bad-record", "a directory such as '4', found None"),
        ({"label": "maybe"}, "bad-record", "the label 'true' or 'false', found 'maybe'"),
        ({"sentence": "  "}, "bad-record", "a sentence, found '  '"),
        ({"sentence": "half \ud800"}, "bad-text", "half of a surrogate pair"),
    ],
)
def test_a_line_that_is_no_example_is_one_reject(
    tmp_path: Path, change: dict[str, Any], reason: str, told: str
) -> None:
    found = rewrite(tmp_path, lambda records: records[2].update(change))
    rejects = [row for row in found.items() if isinstance(row, Reject)]
    assert [(row.where, row.reason) for row in rejects] == [("dev.json:3", reason)]
    assert told in rejects[0].detail
    assert found.expected == 35 * 6 + 1


def test_an_identifier_that_comes_twice_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dev.json:37: .*'100-0' of dev.json:1;"):
        rewrite(tmp_path, lambda records: records.append(records[0]))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"sentence": \n', "dev.json:2: expected a JSON object"),
        (b'["a"]\n', "dev.json:2: expected a JSON object, found a list"),
        (b'{"sentence": "\xff"}\n', "dev.json:2: expected a JSON object in UTF-8"),
        (b"[" * 200_000 + b"\n", "dev.json:2: expected a JSON object"),
        (b" " * 5_000_000, "dev.json:2: expected one example a line, found a line of more than 4,194,304 bytes"),
    ],
)
def test_a_line_that_is_no_json_object_stops_the_run(tmp_path: Path, line: bytes, told: str) -> None:
    (tmp_path / "dev" / "images").mkdir(parents=True)
    (tmp_path / "dev" / "dev.json").write_bytes(b"\n" + line)
    with pytest.raises(InputError) as caught:
        source(tmp_path)
    assert told in str(caught.value)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected dev/dev.json in .*prepare.nlvr.subset"):
        source(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "dev.json").write_text("")
    with pytest.raises(InputError, match="found no such folder"):
        source(tmp_path)
    (tmp_path / "dev" / "images").mkdir()
    with pytest.raises(InputError, match=r"found none; check prepare.path"):
        source(tmp_path)


def test_a_subset_is_a_name_and_no_path() -> None:
    with pytest.raises(ValueError, match="subset"):
        PrepareParams(source="nlvr", path="x", nlvr={"subset": "../dev"})


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published dev set is not at hand")
def test_the_published_dev_set_has_the_counts_that_were_verified(tmp_path: Path) -> None:
    manifest, summary = prepare(PUBLISHED, tmp_path / "out")
    assert (summary.read, summary.kept, summary.rejected) == (5934, 5934, {})
    assert len(set(manifest.meta("identifier"))) == 989
    assert len(manifest.info.classes) == 249
    assert summary.groups == 267
    assert summary.duplicated["image"] == 5934 - 5686
    keys, _ = manifest.keys("image")
    assert len({key.tobytes() for key in keys}) == 5686
    directories = Counter(manifest.meta("directory"))
    assert [directories[str(n)] // 6 for n in range(6)] == [165, 165, 167, 167, 162, 163]
    truth = Counter(manifest.meta("truth"))
    assert (truth["true"] // 6, truth["false"] // 6) == (547, 442)
    examples = Counter(
        group for group, k in zip(manifest.groups(), manifest.meta("permutation"), strict=True) if k == "0"
    )
    assert Counter(examples.values()) == {4: 204, 3: 48, 2: 14, 1: 1}
