"""The page as a browser would meet it: one file, nothing fetched, texts stay texts, pictures have sizes and words."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stages.contract import SilentProgress
from stages.report.params import ReportParams
from stages.report.run import run
from store.errors import InputError
from store.items.records import Task
from tests.rules.cards import change_card, read_card, write_card
from tests.stages.report.run_folder import CAPTION, CLASSES, SYSTEMS, RunFolder, System, whole_run


class Page(HTMLParser):
    """Collects the tags and the visible text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report(folder: RunFolder, **params: Any) -> tuple[dict[str, Any], Page]:
    result = run(ReportParams(**params), folder.inputs, folder.outputs, SilentProgress())
    return result, Page(folder.outputs.page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return whole_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(folder: RunFolder) -> Page:
    return report(folder)[1]


def test_fitted_encoders_are_listed_and_a_transductive_one_is_called_so(tmp_path: Path) -> None:
    folder = whole_run(tmp_path)
    assert "Fitted encoders" not in report(folder)[1].text
    for name, transductive in (("words", False), ("seen", True)):
        card = {"encoder": "w2v", "field": "caption", "rows": 1400, "epochs": 5, "loss": 1.25}
        path = folder.root / "metrics" / "fit" / f"{name}.json"
        write_card(path, {**card, "transductive": transductive})
    inputs = folder.inputs
    shown = replace(inputs, entries={**inputs.entries, "fit": ("words",)})
    run(ReportParams(), shown, folder.outputs, SilentProgress())
    text = Page(folder.outputs.page.read_text(encoding="utf-8")).text
    assert "words w2v caption train rows 1,400 5 1.25" in text
    assert "transductive" not in text
    run(
        ReportParams(),
        replace(inputs, entries={**inputs.entries, "fit": ("words", "seen")}),
        folder.outputs,
        SilentProgress(),
    )
    text = Page(folder.outputs.page.read_text(encoding="utf-8")).text
    assert "seen w2v caption all rows: transductive" in text
    assert "saw the inputs of the test rows" in text


def test_a_fusion_that_learned_from_all_rows_is_called_transductive(tmp_path: Path) -> None:
    folder = whole_run(tmp_path)
    for name, learned in (("plain", {}), ("factors", {"fitted_rows": 2000, "transductive": True})):
        card = {"fusion": "cmf", "features": ["t", "v"], "rows": 2000, "dim": 50, **learned}
        path = folder.root / "metrics" / "fuse" / f"{name}.json"
        write_card(path, card)
    shown = replace(folder.inputs, entries={**folder.inputs.entries, "fuse": ("plain", "factors")})
    run(ReportParams(), shown, folder.outputs, SilentProgress())
    text = Page(folder.outputs.page.read_text(encoding="utf-8")).text
    assert "factors cmf t + v all rows: transductive 2,000 – –" in text
    assert "plain cmf" not in text


def table(folder: RunFolder) -> list[dict[str, str]]:
    with folder.outputs.leaderboard.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_nothing_is_fetched_from_anywhere(folder: RunFolder, page: Page) -> None:
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
    source = folder.outputs.page.read_text(encoding="utf-8")
    assert "@import" not in source
    assert not re.search(r"url\((?!#)", source)
    assert len(source.encode()) < 10_000_000


def test_every_picture_has_words_and_a_size(page: Page) -> None:
    pictures = [*page.all("img"), *page.all("svg")]
    assert len(page.all("img")) >= 12
    assert len(page.all("svg")) == 4
    for picture in pictures:
        assert picture.get("alt") or picture.get("aria-label")
        assert int(picture["width"] or 0) > 0
        assert int(picture["height"] or 0) > 0


def test_ids_are_unique_and_every_link_inside_the_page_arrives(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
    assert len(set(ids)) == len(ids)
    links = [attributes.get("href") or attributes.get("xlink:href") or "" for _, attributes in page.tags]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)


def test_captions_and_labels_stay_text(page: Page) -> None:
    assert len(page.all("script")) == 1
    assert " ".join(CAPTION.split()) in page.text
    assert CLASSES[1] in page.text


def test_only_our_own_script_may_run(page: Page) -> None:
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/]{43}='", policy)


def test_the_head_of_the_primary_column_says_how_it_is_sorted(page: Page) -> None:
    heads = [head for head in page.all("th") if head.get("data-kind")]
    assert [head.get("aria-sort") for head in heads[:2]] == [None, "descending"]
    assert len(page.all("button")) == len(heads)


def test_the_verdict_compares_the_best_with_the_best_single_modality(page: Page) -> None:
    assert (
        "attention is best with macro F1 0.512 ± 0.006 (3 seeds), 11.1 points above the best single modality, "
        "text-hash (text only) with 0.401 ± 0.005 (3 seeds). The floor, dummy, which looks at nothing, has 0.021"
    ) in page.text


def test_examples_tell_hits_misses_and_false_alarms_in_words(page: Page) -> None:
    for words in ("✓", "(missed)", "(false alarm)", "no caption", "Among the best", "Among the worst"):
        assert words in page.text


def test_data_split_encoders_and_retrieval_are_told(page: Page) -> None:
    for words in ("duplicate id", "ids are row numbers", "rows: train", "both-knn", "✓ relevant", "✗ not relevant"):
        assert words in page.text
    assert {"title": "ab12" * 16} in page.all("code")


def test_the_table_holds_every_experiment_best_first_with_exact_numbers(folder: RunFolder, page: Page) -> None:
    rows = table(folder)
    assert list(rows[0])[:8] == [
        "experiment", "features", "fusion", "head", "seeds", "rows", "f1_macro", "f1_macro_std",
    ]  # fmt: skip
    assert [row["experiment"] for row in rows] == [system.name for system in SYSTEMS]
    assert [(float(row["f1_macro"]), float(row["f1_macro_std"])) for row in rows] == [
        (system.value, system.deviation) for system in SYSTEMS
    ]
    heads = re.findall(r'<th scope="row"><a [^>]*><bdi>(.*?)<', folder.outputs.page.read_text(encoding="utf-8"))
    assert heads[: len(SYSTEMS)] == [system.name for system in SYSTEMS]
    assert "0.512 ± 0.006" in page.text


def test_the_same_run_gives_the_same_bytes(folder: RunFolder, page: Page) -> None:
    before = folder.outputs.page.read_bytes(), folder.outputs.leaderboard.read_bytes()
    report(folder)
    assert (folder.outputs.page.read_bytes(), folder.outputs.leaderboard.read_bytes()) == before
    assert not list(folder.outputs.page.parent.glob(".*"))
    assert page.text


@pytest.mark.parametrize(
    ("task", "primary", "direction"), [("multiclass", "accuracy", "descending"), ("regression", None, "ascending")]
)
def test_other_tasks(tmp_path: Path, task: Task, primary: str | None, direction: str) -> None:
    result, page = report(whole_run(tmp_path, task), primary=primary)
    assert result["primary"] == (primary or "mse")
    assert direction in [head.get("aria-sort") for head in page.all("th")]
    assert ("Predicted against true" in page.text) is (task == "regression")
    assert ("(less is better)" in page.text) is (task == "regression")


def test_less_is_better_for_a_regression_and_the_floor_may_win(tmp_path: Path) -> None:
    result, page = report(whole_run(tmp_path, "regression"))
    assert result["best"] == "dummy"
    assert "No experiment beats the floor" in page.text
    assert "predicted" in page.text


@pytest.mark.parametrize(("images", "fields"), [(False, ("caption",)), (True, ()), (False, ())])
def test_a_run_without_pictures_or_without_texts(tmp_path: Path, images: bool, fields: tuple[str, ...]) -> None:
    folder = RunFolder(tmp_path)
    folder.write_data(images=images, fields=fields)
    folder.write_experiment(SYSTEMS[3])
    folder.write_retrieval()
    _, page = report(folder)
    assert bool(page.all("img")) is images
    assert "image-colorhist is the only experiment: macro F1 0.331 ± 0.009 (3 seeds)." in page.text


def test_only_metrics_are_needed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_data()
    folder.write_experiment(SYSTEMS[0], seeds=1)
    for path in sorted((tmp_path / "data").glob("*/*")):
        if path.is_file() and path not in (folder.inputs.manifest, folder.inputs.split):
            path.unlink()
    for path in sorted((tmp_path / "data/evaluate").rglob("*.csv")):
        path.unlink()
    _, page = report(folder)
    assert len(page.all("svg")) == 1
    assert "Examples" not in page.text
    assert "No row of the source was rejected." in page.text


def test_a_picture_that_went_away_is_told(tmp_path: Path) -> None:
    folder = whole_run(tmp_path)
    for path in (tmp_path / "pictures").iterdir():
        path.unlink()
    _, page = report(folder)
    assert "picture not readable" in page.text
    assert "could not be read any more" in page.text


def test_a_run_without_metrics_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_data()
    with pytest.raises(InputError, match=r"expected the metrics of at least one experiment, .* run `diptych evaluate`"):
        report(folder)
    assert not folder.outputs.page.parent.exists()


def test_predictions_of_another_manifest_are_refused(tmp_path: Path) -> None:
    folder = whole_run(tmp_path)
    RunFolder(tmp_path, items=8).write_data()
    with pytest.raises(InputError, match=r"expected items of .*manifest.parquet .* `dvc repro`"):
        report(folder)
    assert not folder.outputs.page.exists()


def test_a_metrics_file_without_a_head_is_named(tmp_path: Path) -> None:
    folder = whole_run(tmp_path)
    path = tmp_path / "metrics/evaluate/concat-mlp.json"
    write_card(path, {key: value for key, value in read_card(path).items() if key != "head"})
    with pytest.raises(InputError, match=r"expected 'head' as text in .*concat-mlp.json, found None"):
        report(folder)


def test_an_unknown_primary_names_those_that_exist(folder: RunFolder) -> None:
    with pytest.raises(InputError, match=r"expected the metric 'map' .* f1_macro, f1_micro"):
        report(folder, primary="map")


def test_settings_and_sources_are_taken_from_the_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_data()
    folder.write_encoders()
    folder.write_experiment(SYSTEMS[2])
    folder.write_experiment(System("joined", "both", "none", "mlp", 0.6))
    for name, made in (("reduce/small", "image-colorhist"), ("fuse/both", ["small", "caption-hash"])):
        path = tmp_path / "metrics" / f"{name}.json"
        write_card(path, {"features": made})
    path = tmp_path / "metrics/evaluate/joined.json"
    change_card(path, threshold=0.001, part="dev")
    _, page = report(folder)
    assert "19.9 points above the best single modality, text-hash (text only)" in page.text
    assert "Items of the dev part" in page.text
    assert "(missed)" not in page.text
    assert "threshold" not in table(folder)[0]


def test_many_classes_and_experiments_keep_the_page_small(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_data()
    for place in range(14):
        folder.write_experiment(System(f"experiment-{place}", "caption-hash", "none", "mlp", 0.3 + place / 100))
    _, page = report(folder, examples=0)
    assert "2 more experiments are not drawn." in page.text
    assert "Among the best" not in page.text
