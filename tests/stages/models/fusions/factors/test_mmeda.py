"""Fitting `mmeda1` and `mmeda2`: batches that pair by id, blocks of columns, steps, and which inputs are pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from stages.contract import SilentProgress
from stages.models.encoders.image.convae import preprocessing
from stages.models.features.layout import as_layout
from stages.models.features.table import FeatureTable
from stages.models.fusions.factors.mmeda import Mmeda1Fusion, Mmeda2Fusion, MmedaTraining, Reader, picture_size
from stages.models.fusions.factors.mmeda_network import Batch, Mmeda1, Sizes
from stages.models.fusions.factors.rows import Mmeda1Options, Mmeda2Options
from store import open_matrix
from store.errors import InputError
from tests.stages.models.fusions.factors.case import build, inputs, joined, widths

SILENT = SilentProgress()


def training(x: Any, layout: tuple[int, ...], **options: Any) -> MmedaTraining:
    torch.manual_seed(0)
    small = Mmeda1Options(**{"components": 4, "hidden": 6, "batch": 6, "column_batch": 4, **options})
    network = Mmeda1(Sizes(len(x), layout[0], picture_size(as_layout(layout)), small.hidden, small.components))
    return MmedaTraining(x, network, Reader(as_layout(layout), "cpu"), small, 3)


def test_the_published_training_is_the_default() -> None:
    first, second = Mmeda1Options(), Mmeda2Options()
    assert (first.lr, first.epochs, second.epochs, second.decode_image_from) == (0.01, 30, 50, "ae0")
    assert (first.batch, first.column_batch, first.components, first.hidden) == (50, 50, 50, 512)


def test_pictures_are_scaled_as_for_convae() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 3, 8, 8)).astype(np.float32)  # planes, as the encoder `pixels` gives them
    texts = rng.normal(size=(2, 10)).astype(np.float32)
    x = joined({"t": texts, "v": pixels.reshape(2, -1)})
    pictures, read = Reader(as_layout((10, 192)), "cpu").read(x)
    rule = preprocessing(8, "squash")
    mean, std = (np.array(each).reshape(1, 3, 1, 1) for each in (rule.mean, rule.std))
    np.testing.assert_allclose(pictures.numpy(), (pixels / 255 - mean) / std, atol=1e-5)
    np.testing.assert_array_equal(read.numpy(), texts)


def test_in_every_batch_picture_and_text_are_of_the_same_item(dataset: Any) -> None:
    ids = dataset.ids(40)
    numbers = np.arange(40, dtype=np.float32)[:, None]
    paths = [dataset.matrix("t", numbers * np.ones(10)), dataset.matrix("v", numbers * np.ones(192))]
    train = np.flatnonzero(np.arange(40) % 3)  # so that a row of the table is another one of the manifest
    table = FeatureTable([open_matrix(path) for path in paths], train, as_layout((10, 192)))
    made = training(table, (10, 192))
    rule = preprocessing(8, "squash")
    orders = []
    for number in (1, 2):
        order = []
        for rows, pictures, texts in made.batches(number):
            shown = pictures[:, 0, 3, 5].numpy() * rule.std[0] * 255 + rule.mean[0] * 255
            of_pictures = [ids[round(float(each))] for each in shown]
            of_texts = [ids[int(each)] for each in texts[:, 7]]
            assert of_pictures == of_texts == [ids[train[row]] for row in rows]
            order.append(rows)
        assert [len(each) for each in order] == [6, 6, 6, 6, 2]
        orders.append(np.concatenate(order))
        np.testing.assert_array_equal(np.sort(orders[-1]), np.arange(26))
    assert (orders[0] != orders[1]).any()


def test_all_columns_are_rebuilt_in_blocks_and_the_last_is_smaller() -> None:
    blocks = inputs("mmeda1", 20)
    assert training(joined(blocks), widths(blocks)).blocks() == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert training(joined(blocks), widths(blocks), column_batch=50).blocks() == [slice(0, 10)]


def test_an_epoch_is_a_step_for_each_batch_and_block_and_its_loss_is_their_mean() -> None:
    blocks = inputs("mmeda1", 20)
    x, losses = joined(blocks), []
    made, other = training(x, widths(blocks)), training(x, widths(blocks))
    loss = made.epoch(1, SILENT)[0]
    for rows, pictures, texts in other.batches(1):
        for block in (slice(0, 4), slice(4, 8), slice(8, 10)):
            columns = torch.from_numpy(blocks["t"][:, block].T.copy())
            batch = Batch(pictures, texts, columns, block)
            found = sum(other.network.losses(batch, other.network.encode(batch)).values())
            other.network.zero_grad()
            found.backward()
            with torch.no_grad():
                for each in other.network.parameters():
                    each.sub_(0.01 * each.grad)
            losses += [float(found.detach())] * len(rows)
    assert loss == pytest.approx(np.mean(losses), abs=1e-6)
    for left, right in zip(made.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("width", [3 * 30 * 30, 3 * 32 * 31, 192 + 1, 2, 100])
def test_a_second_input_that_cannot_be_pictures_is_refused(width: int) -> None:
    x = joined({"t": np.zeros((5, 10)), "v": np.zeros((5, width))})
    with pytest.raises(InputError, match=rf"S a multiple of 4; found inputs of \[10, {width}\] numbers; embed the pic"):
        build("mmeda1", (10, width)).fit(x)


@pytest.mark.parametrize("given", [(192,), (10, 10, 192)])
def test_another_number_of_inputs_is_refused(given: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected a text vector and then the pixels"):
        build("mmeda2", given).fit(np.zeros((5, sum(given) + len(given)), np.float32))


@pytest.mark.parametrize(
    "scaling", [lambda pixels: pixels / 255, lambda pixels: pixels - 128, lambda pixels: pixels * 2]
)
def test_pixels_that_were_scaled_are_refused(scaling: Any) -> None:
    blocks = inputs("mmeda1", 20)
    with pytest.raises(InputError, match=r"whole numbers of 0 to 255; found .* leave `scale` at none"):
        build("mmeda1", widths(blocks)).fit(joined({**blocks, "v": scaling(blocks["v"])}))


def test_the_missing_vector_of_a_picture_may_be_a_mean() -> None:
    blocks, present = inputs("mmeda1", 20), np.ones((20, 2))
    blocks["v"][3], present[3, 1] = blocks["v"].mean(axis=0), 0
    assert len(build("mmeda1", widths(blocks)).fit(joined(blocks, present)).history_) == 4


def test_a_plain_array_is_texts_without_pictures() -> None:
    x = inputs("mf", 20)["t"]
    fitted = build("mmeda1", None).fit(x)
    beside = build("mmeda1", (10, 48)).fit(joined({"t": x, "v": np.zeros((20, 48))}))
    np.testing.assert_array_equal(fitted.transform(x), beside.transform(joined({"t": x, "v": np.zeros((20, 48))})))


def test_the_embedding_depends_on_both_inputs_and_the_decoder_option_changes_what_is_learned() -> None:
    blocks, other = inputs("mmeda2", 20), inputs("mmeda2", 20, seed=1)
    fitted = build("mmeda2", widths(blocks)).fit(joined(blocks))
    z = fitted.transform(joined(blocks))
    for name in blocks:
        assert (fitted.transform(joined({**blocks, name: other[name]})) != z).any(axis=1).sum() > 15
    joint = build("mmeda2", widths(blocks), decode_image_from="joint").fit(joined(blocks))
    assert (joint.transform(joined(blocks)) != z).any()
    assert isinstance(fitted, Mmeda2Fusion)
    assert isinstance(fitted, Mmeda1Fusion)
