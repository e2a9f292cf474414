"""A layout keeps the order of its columns through JSON, whatever the writer does with keys."""

from __future__ import annotations

import json

import numpy as np

from stages.models.features.layout import Block, as_layout, layout_columns, split_inputs

LAYOUT = (
    Block(2, {"tokens": (3, 4), "token_mask": (3,)}),
    Block(5),
    Block(1, {"regions": (2, 3), "region_mask": (2,)}),
)


def test_columns_stay_in_order_where_keys_are_sorted() -> None:
    written = json.dumps([block.as_json() for block in LAYOUT], sort_keys=True)
    found = as_layout(json.loads(written))
    assert found == LAYOUT
    assert [list(block.arrays) for block in found] == [list(block.arrays) for block in LAYOUT]
    x = np.arange(2.0 * layout_columns(LAYOUT)).reshape(2, -1)
    for cut, expected in zip(split_inputs(x, found), split_inputs(x, LAYOUT), strict=True):
        np.testing.assert_array_equal(cut.vector, expected.vector)
        np.testing.assert_array_equal(cut.present, expected.present)
        for name, array in expected.arrays.items():
            np.testing.assert_array_equal(cut.arrays[name], array)


def test_plain_widths_are_a_layout_too() -> None:
    assert as_layout((5, 4)) == (Block(5), Block(4))
    assert [block.as_json() for block in as_layout((5, 4))] == [5, 4]
