"""docs/team.md, typed by two people: nobody runs or embeds anything twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store import FeatureStore, verify
from tests.end_to_end.clones import embedded
from tests.end_to_end.members import BUCKETS, PAGE, STORE, Team, make_bucket, page_blocks, ran
from tests.store.backends.moto_server import CREDENTIALS, missing_packages, moto_server

POSTS, MORE = 24, 6
pytestmark = pytest.mark.skipif(bool(missing_packages()), reason=f"needs {', '.join(missing_packages())}")


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """Two members, who have not begun yet. The tests of this file go on where the one before ended."""
    folder = tmp_path_factory.mktemp("team")
    with moto_server() as address, pytest.MonkeyPatch.context() as patch:
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": address}.items():
            patch.setenv(name, value)
        for bucket in BUCKETS:
            make_bucket(address, bucket)
        made = Team(folder, address)
        made.found("ann", POSTS)
        made.new_posts("ben", range(POSTS, POSTS + MORE))
        yield made


def test_its_blocks_say_whose_they_are_and_its_files_exist() -> None:
    assert [member for member, _ in page_blocks()] == ["ann", "ben", "ben", "ann", "ann"]
    assert "tests/end_to_end/team/test_team.py" in PAGE


@pytest.mark.slow
def test_the_page_is_typed_as_it_stands(team: Team) -> None:
    found, joins, adds, back, merges = page_blocks()
    first = team.type(*found)
    assert {"prepare", "embed@caption-hash", "train@text", "report"} <= ran(first)
    assert embedded(first) == {"caption-hash": (0, POSTS + 1), "image-colors": (0, POSTS)}
    _assert_nobody_computed_twice(team, 2)

    joined = team.type(*joins)
    assert ran(joined) == set()
    assert "up to date" in joined
    assert f"{2 * POSTS + 1} rows" in joined

    added = team.type(*adds)
    assert {"prepare", "embed@caption-precise", "train@precise"} <= ran(added)
    assert embedded(added) == {
        "caption-hash": (POSTS + 1, MORE),
        "caption-precise": (0, POSTS + MORE + 1),
        "image-colors": (POSTS, MORE),
    }
    _assert_nobody_computed_twice(team, 3)

    went = team.type(*back)
    assert ran(went) == {"embed@image-colors"}
    assert embedded(went) == {"image-colors": (POSTS + MORE, 0)}
    assert ran(team.type(*merges)) == set()
    _assert_nobody_computed_twice(team, 3)
    assert verify(FeatureStore(STORE), rows=True) == []
    ours, theirs = (team.home(name) / "films/data/embed" for name in ("ann", "ben"))
    names = [f"{name}.zarr.zip" for name in ("caption-hash", "caption-precise", "image-colors")]
    assert [(ours / name).read_bytes() for name in names] == [(theirs / name).read_bytes() for name in names]


def _assert_nobody_computed_twice(team: Team, encoders: int) -> None:
    stored = list(team.stored())
    assert len(stored) == encoders
    assert all(rows == distinct for _, rows, distinct in stored)
    assert team.computed() == sum(rows for _, rows, _ in stored)
