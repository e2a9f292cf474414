"""The embedded data set: the same from the same seed, grown without a change, and honest about what it shows."""

import shutil
from collections import Counter
from pathlib import Path
from random import Random
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from stages.contract import SilentProgress
from stages.prepare.params import PrepareParams, ScenesParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.sources.catalog import SOURCES
from stages.prepare.sources.scenes.pictures import choose_glyphs, compose
from stages.prepare.sources.scenes.source import caption
from stages.prepare.sources.scenes.vocabulary import Vocabulary, read_vocabulary
from stages.prepare.summary import PrepareSummary
from store.errors import InputError
from store.items.manifest import Manifest
from tests.stages.prepare.desk import VOCABULARY


def prepare(folder: Path, items: int = 12, seed: int = 0, limit: int | None = None) -> tuple[Manifest, PrepareSummary]:
    scenes = ScenesParams(items=items, size=64)
    params = PrepareParams(source="scenes", path=str(VOCABULARY), seed=seed, limit=limit, scenes=scenes)
    summary = run(params, PrepareOutputs(folder), SilentProgress())
    return Manifest.open(folder / "manifest.parquet"), summary


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dice() -> Random:
    return Random(3)  # noqa: S311 (pictures, not secrets)


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return read_vocabulary(VOCABULARY)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "prepare"
    prepare(folder)
    return folder


def test_two_runs_give_equal_bytes(prepared: Path, tmp_path: Path) -> None:
    # In the same place, because the manifest names its root.
    before = files(prepared)
    kept = tmp_path / "kept"
    shutil.copytree(prepared, kept)
    prepare(prepared)
    assert files(prepared) == before == files(kept)
    assert set(before) == {
        "manifest.parquet",
        "rejects.csv",
        "summary.json",
        *(f"images/{n:06d}.jpg" for n in range(12)),
    }


def test_growing_changes_nothing_that_was_there(prepared: Path, tmp_path: Path) -> None:
    grown, _ = prepare(tmp_path / "grown", items=15)
    old = Manifest.open(prepared / "manifest.parquet")
    assert len(grown) == 15
    assert grown.ids()[:12] == old.ids()
    assert grown.texts("caption")[:12] == old.texts("caption")
    assert np.array_equal(grown.label_matrix()[:12], old.label_matrix())
    for name in ("image", "caption"):
        assert np.array_equal(grown.keys(name)[0][:12], old.keys(name)[0])
    pictures = {name: data for name, data in files(tmp_path / "grown").items() if name.startswith("images/")}
    assert {
        name: data for name, data in files(prepared).items() if name.startswith("images/")
    }.items() < pictures.items()


def test_another_seed_gives_other_scenes(prepared: Path, tmp_path: Path) -> None:
    other, _ = prepare(tmp_path / "other", seed=1)
    assert (
        not (other.keys("image")[0] == Manifest.open(prepared / "manifest.parquet").keys("image")[0]).all(axis=1).any()
    )


def test_a_limit_stops_early(tmp_path: Path) -> None:
    manifest, summary = prepare(tmp_path / "prepare", limit=3)
    assert manifest.ids() == ["000000", "000001", "000002"]
    assert summary.read == 3


def test_the_manifest_has_the_columns_of_coco_captions(prepared: Path) -> None:
    manifest = Manifest.open(prepared / "manifest.parquet")
    classes = manifest.info.classes
    assert manifest.info.root == str(prepared)
    assert manifest.groups() == manifest.ids() == manifest.meta("image_id")
    assert manifest.images() == manifest.meta("file_name")
    matrix = manifest.label_matrix()
    assert matrix.any(axis=1).all()
    assert matrix.sum(axis=1).max() <= 5
    for row, (numbers, names, supers) in enumerate(
        zip(manifest.meta("category_ids"), manifest.meta("categories"), manifest.meta("super_categories"), strict=True)
    ):
        labels = [classes[column] for column in np.flatnonzero(matrix[row])]
        assert names == "|".join(labels)
        assert numbers == "|".join(str(classes.index(label) + 1) for label in labels)
        assert set((supers or "").split("|")) == {manifest.info.super_classes[label] for label in labels}
    with Image.open(prepared / (manifest.images()[0] or "")) as image:
        assert (image.size, image.mode, image.format) == ((64, 64), "RGB", "JPEG")


def test_the_vocabulary_makes_visual_sense(vocabulary: Vocabulary) -> None:
    assert 30 <= len(vocabulary.classes) <= 45
    assert set(vocabulary.super_classes.values()).isdisjoint({"Flags", "Component", "Symbols"})
    assert all(len(glyphs) >= 3 for glyphs in vocabulary.of_category)
    assert len({glyph.svg for glyph in vocabulary.glyphs}) == len(vocabulary.glyphs)
    tones = {f"1F3F{digit}" for digit in "BCDEF"}
    assert all(tones.isdisjoint(glyph.svg.stem.split("-")) for glyph in vocabulary.glyphs)
    assert all(keyword.replace(" ", "").isalpha() for glyph in vocabulary.glyphs for keyword in glyph.keywords)


def test_categories_are_about_equally_frequent(vocabulary: Vocabulary) -> None:
    random = dice()
    chosen = [choose_glyphs(vocabulary, ScenesParams(), random) for _ in range(3000)]
    assert set(Counter(map(len, chosen))) == {1, 2, 3, 4, 5}
    counts = Counter(glyph.category for glyphs in chosen for glyph in glyphs)
    assert min(counts.values()) > 0.6 * max(counts.values())


def test_captions_name_a_part_and_are_sometimes_vague_wrong_or_missing(vocabulary: Vocabulary) -> None:
    random = dice()
    params = ScenesParams()
    told = []
    for _ in range(1000):
        glyphs = choose_glyphs(vocabulary, params, random)
        told.append((glyphs, caption(vocabulary, glyphs, "striped", params, random)))
    missing = sum(text is None for _, text in told)
    assert 0.5 < missing / (1000 * params.silent) < 1.5
    sentences = [(glyphs, text) for glyphs, text in told if text is not None]
    assert all(text[0].isupper() and text[-1] in ".!" and "{" not in text for _, text in sentences)
    names = sum(any(glyph.name in text for glyph in glyphs) for glyphs, text in sentences)
    whole = sum(all(glyph.name in text for glyph in glyphs) for glyphs, text in sentences)
    assert 0.5 < names / len(sentences) < 0.95
    assert whole < names / 2
    every = {glyph.name for glyph in vocabulary.glyphs}
    wrong = sum(
        any(f"a {name}" in text.lower() for name in every - {glyph.name for glyph in glyphs})
        for glyphs, text in sentences
    )
    assert 10 < wrong < 400


def test_the_extremes_name_nothing_and_say_nothing(vocabulary: Vocabulary) -> None:
    params = ScenesParams(named=0, wrong=0, silent=0)
    random = dice()
    glyphs = [vocabulary.glyphs[0]]
    assert all(glyphs[0].name not in (caption(vocabulary, glyphs, "plain", params, random) or "") for _ in range(50))
    assert caption(vocabulary, glyphs, "plain", ScenesParams(silent=1), random) is None


def test_objects_are_drawn_over_the_background(vocabulary: Vocabulary) -> None:
    bare, _ = compose([], ScenesParams(size=64), dice())
    drawn, word = compose([vocabulary.glyphs[0]], ScenesParams(size=64), dice())
    changed = (np.asarray(bare) != np.asarray(drawn)).any(axis=-1).mean()
    assert 0.02 < changed < 0.5
    assert word in {"plain", "shaded", "striped", "checked", "dotted", "cloudy"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "elephant,",
            "elefant,",
            "category 'mammal': expected 'elefant' to be an emoji of 'animal-mammal', found no such emoji",
        ),
        ("elephant,", "owl,", "found one of 'animal-bird'"),
        ("  Food & Drink:", "  Food and Drink:", "expected super_words for 'Food & Drink'"),
        ("categories:", "kategories:", "kategories"),
        ("categories:", "categories: [", "mend the file"),
    ],
)
def test_a_wrong_vocabulary_is_told_and_nothing_written(tmp_path: Path, old: str, new: str, told: str) -> None:
    text = VOCABULARY.read_text()
    assert old in text
    path = tmp_path / "scenes.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        run(PrepareParams(source="scenes", path=str(path)), PrepareOutputs(tmp_path / "out"), SilentProgress())
    assert told in str(caught.value)
    assert str(path) in str(caught.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["scenes.yaml"]


def test_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mend prepare\.path"):
        run(
            PrepareParams(source="scenes", path=str(tmp_path / "none")),
            PrepareOutputs(tmp_path / "out"),
            SilentProgress(),
        )


def test_the_catalogue_lists_each_source() -> None:
    assert [row.name for row in SOURCES] == [*get_args(PrepareParams.model_fields["source"].annotation)]
    assert all(row.description and row.path_help for row in SOURCES)
