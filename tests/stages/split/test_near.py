"""Near hashes are found without comparing all pairs, and what says too little is left out."""

import numpy as np
import pytest

from stages.split.near import flat, neighbours, varied_bits

Pair = tuple[int, int, int]


def crowd(seed: int, count: int, centres: int = 40) -> np.ndarray:
    """Draw distinct hashes, most of them up to six bits away from a few centres; half of the bits never vary."""
    dice = np.random.default_rng(seed)
    middle = np.random.default_rng(0).integers(0, 2**64, centres, dtype=np.uint64)
    flips = np.bitwise_or.reduce(np.uint64(1) << dice.integers(0, 64, (6, count)).astype(np.uint64), axis=0)
    drawn = middle[dice.integers(0, centres, count)] ^ np.where(dice.random(count) < 0.8, flips, np.uint64(0))
    return dice.permutation(np.unique(drawn | np.uint64(0xFFFFFFFF)))


def every_pair(asked: np.ndarray, others: np.ndarray, near: int) -> list[list[Pair]]:
    distance = np.bitwise_count(asked[:, None] ^ others[None]).astype(int)
    found = []
    for row in range(len(asked)):
        close = sorted((int(distance[row, other]), int(other)) for other in np.flatnonzero(distance[row] <= near))
        found.append([(row, other, apart) for apart, other in close])
    return found


@pytest.mark.parametrize("near", [0, 1, 4, 10])
@pytest.mark.parametrize("most", [3, 10**6])
def test_all_near_pairs_are_found_up_to_the_most_asked_for(near: int, most: int) -> None:
    asked, others = crowd(1, 80), crowd(2, 250)
    got = [tuple(map(int, pair)) for pair in zip(*neighbours(asked, others, near, most), strict=True)]
    assert got == sorted(got, key=lambda pair: (pair[0], pair[2], pair[1]))
    for row, wanted in enumerate(every_pair(asked, others, near)):
        found = [pair for pair in got if pair[0] == row]
        if len(wanted) < most:
            assert found == wanted
        else:
            assert len(found) == most
            assert set(found) <= set(wanted)
    assert got


def test_many_bands_and_small_batches_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, others = crowd(1, 80), crowd(2, 250)
    before = neighbours(asked, others, 4, 10**6)
    monkeypatch.setattr("stages.split.near._MANY", (10,))
    monkeypatch.setattr("stages.split.near._PAIRS_AT_ONCE", 300)
    after = neighbours(asked, others, 4, 10**6)
    assert [part.tolist() for part in before] == [part.tolist() for part in after]


def test_nothing_has_no_neighbours() -> None:
    none, some = np.zeros(0, np.uint64), np.ones(1, np.uint64)
    assert [len(part) for part in neighbours(none, some, 4, 3)] == [0, 0, 0]
    assert [len(part) for part in neighbours(some, none, 4, 3)] == [0, 0, 0]


def test_flat_hashes_are_those_within_the_distance_of_all_zeros_or_all_ones() -> None:
    hashes = np.array([0, 0b1111, 0b11111, 2**64 - 1, 2**64 - 1 - 0b1111, 2**64 - 1 - 0b11111], np.uint64)
    assert flat(hashes, 4).tolist() == [True, True, False, True, True, False]
    assert flat(hashes, 0).tolist() == [True, False, False, True, False, False]


def test_bits_that_vary_are_counted() -> None:
    hashes = np.arange(64, dtype=np.uint64) | np.uint64(1 << 40)
    assert varied_bits(hashes) == 6
    assert varied_bits(np.zeros(0, np.uint64)) == 0
