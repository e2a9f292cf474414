"""The t-SNE panels: markers, counts, rings and landmarks, a few kilobytes each, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from stages.report.draw.scatter import Cloud, Look, legend, scatter
from stages.report.sections.measured.maps import Maps, read_maps
from store.errors import InputError
from tests.stages.report.outcome_files import table, write_maps
from tests.stages.report.read.test_leaderboard import BOTH, TEXT, board
from tests.stages.report.read.test_outcomes import cards_of
from tests.stages.report.run_folder import RunFolder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    folder.write_data()
    return folder


def read(folder: RunFolder) -> list[Maps]:
    return read_maps(board(BOTH, TEXT), cards_of(folder), folder.root / "data" / "evaluate")


def cloud(points: int, classes: int) -> Cloud:
    rng = np.random.default_rng(0)
    return Cloud(rng.normal(size=(points, 2)), np.arange(points) % classes, np.zeros(points, np.bool_), {})


def test_two_thousand_points_are_a_few_tens_of_kilobytes() -> None:
    drawn = scatter("a", cloud(2000, 10), "many")
    assert len(drawn) < 24_000
    assert drawn == scatter("a", cloud(2000, 10), "many")


def test_points_keep_their_distances_and_stay_inside() -> None:
    places = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 1.0]])
    drawn = scatter("a", Cloud(places, np.zeros(3, np.int64), np.zeros(3, np.bool_), {}), "three")
    (line,) = re.findall(r'd="M([\d ]+)" style="fill:none', drawn)
    at = np.array(line.split(), float).reshape(-1, 2)
    assert ((at >= 0) & (at <= 1000)).all()
    assert at[1, 0] - at[0, 0] == 4 * (at[0, 1] - at[2, 1])  # up is up


def test_points_in_one_place_are_drawn_in_the_middle() -> None:
    drawn = scatter("a", Cloud(np.ones((2, 2)), np.zeros(2, np.int64), np.zeros(2, np.bool_), {}), "two")
    assert "M500 500 500 500" in drawn


def test_no_two_of_twenty_classes_share_shape_and_colour() -> None:
    looks = [(look.shape, look.colour) for look, _ in legend([str(place) for place in range(20)])]
    assert len(set(looks)) == 20
    assert len({shape for shape, _ in looks[:10]}) == len({colour for _, colour in looks[:10]}) == 10
    assert 'aria-label="circle"' in Look(0).key


def test_panels_tell_their_silhouette_and_counts(folder: RunFolder) -> None:
    write_maps(folder, "fused")
    (maps,) = read(folder)
    assert [panel.title for panel in maps.panels] == [
        "caption-hash, as encoded: silhouette −0.000", "fused vectors: silhouette 0.250",
    ]  # fmt: skip
    assert [panel.caption for panel in maps.panels] == ["12 items, 1 of them ringed; perplexity 3"] * 2
    assert maps.ringed
    assert "weather" in maps.panels[0].svg  # told in words
    assert "<script>" not in maps.panels[0].svg
    assert "var(--ink)" in maps.panels[0].svg


def test_landmarks_are_numbered_in_the_fused_panel_alone_and_have_pictures(folder: RunFolder) -> None:
    write_maps(folder, "fused", ringed=False)
    (maps,) = read(folder)
    assert not maps.ringed
    assert [one.number for one in maps.landmarks] == [str(place + 1) for place in range(len(maps.landmarks))]
    assert all(one.card.picture is not None and one.label in one.card.labels for one in maps.landmarks)
    assert ["<text" in panel.svg for panel in maps.panels] == [False, True]
    ids = re.findall(r'id="([^"]+)"', "".join(panel.svg for panel in maps.panels))
    assert len(ids) == len(set(ids)) > 2


def test_headers_alone_are_no_maps(folder: RunFolder, tmp_path: Path) -> None:
    table(tmp_path / "fused/tsne.csv", "panel,kind,id,class,x,y,highlight")
    assert read_maps(board(BOTH), cards_of(folder), tmp_path) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fused,fused,item-001,bird,nan,1,0", r"tsne\.csv.*`diptych evaluate` again"),
        ("fused,fused,item-777,bird,1,1,0", r"expected items of .*manifest\.parquet"),
        ("fused,fused,item-001,bird,1,1,0", r"expected the panel 'fused fused' of fused in tsne_panels\.csv"),
    ],
)
def test_what_does_not_belong_here_is_refused(folder: RunFolder, tmp_path: Path, line: str, message: str) -> None:
    table(tmp_path / "fused/tsne.csv", "panel,kind,id,class,x,y,highlight", line)
    with pytest.raises(InputError, match=rf"(?s){message}"):
        read_maps(board(BOTH), cards_of(folder), tmp_path)
