"""What a fitter gets to see: train rows in their order, with labels, and a cut of them for early stopping."""

from __future__ import annotations

import numpy as np
import pytest

from stages.fit.context import cut_dev, read_rows
from stages.models.encoders.inputs import Inputs
from store.errors import InputError, ItemError
from store.items.manifest import Manifest
from tests.stages.fit.case import LABELS, Case


def test_rows_bear_inputs_groups_and_labels_of_train_alone(case: Case) -> None:
    manifest = Manifest.open(case.root / "manifest.parquet")
    train = np.array([row for row, each in enumerate(case.records) if each.part == "train"])
    rows = read_rows(Inputs.of(manifest, "image", "image"), train)
    expected = [case.records[row] for row in train]
    assert rows.ids == rows.groups == [each.id for each in expected]
    assert [rows.load(position) for position in range(len(rows))] == [each.picture for each in expected]
    assert (rows.task, rows.classes, rows.targets.shape) == ("multilabel", tuple(LABELS), (24, 3))
    assert [LABELS[row.argmax()] for row in rows.targets] == [each.labels[0] for each in expected]
    assert rows.labelled.all()
    texts = read_rows(Inputs.of(manifest, "text", "caption"), train)
    assert [texts.load(position) for position in range(len(texts))] == [
        each.caption for each in expected if each.caption
    ]
    assert texts.content != rows.content


def test_an_unknown_field_and_a_changed_picture_are_told(case: Case) -> None:
    manifest = Manifest.open(case.root / "manifest.parquet")
    with pytest.raises(InputError, match="found 'captoin'"):
        read_rows(Inputs.of(manifest, "text", "captoin"), np.arange(3))
    rows = read_rows(Inputs.of(manifest, "image", "image"), np.arange(3))
    (case.root / "pictures" / f"{case.records[1].id}.png").write_bytes(b"other")
    with pytest.raises(ItemError, match="changed since"):
        rows.load(1)


def test_the_cut_takes_a_tenth_of_the_groups_whole() -> None:
    groups = [f"g{row // 3}" for row in range(90)]
    train, dev = cut_dev(groups, seed=0)
    assert len(dev) == 9
    assert len(train) == 81
    assert not {groups[row] for row in train} & {groups[row] for row in dev}
    again = cut_dev(groups, seed=0)
    assert all(np.array_equal(one, other) for one, other in zip((train, dev), again, strict=True))
    assert not np.array_equal(cut_dev(groups, seed=1)[1], dev)


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (2, 1), (5, 1), (20, 2)])
def test_there_is_always_something_left_to_learn_from(count: int, expected: int) -> None:
    train, dev = cut_dev([f"g{row}" for row in range(count)], seed=0)
    assert (len(train), len(dev)) == (count - expected, expected)


def test_a_dominant_group_is_learnt_from_and_not_set_aside() -> None:
    groups = ["much"] * 50 + [f"g{row}" for row in range(50)]
    for seed in range(100):
        train, dev = cut_dev(groups, seed)
        assert 0 not in dev
        assert len(dev) >= 5
        assert len(train) + len(dev) == 100
