"""`convae`: the checks of docs/systems/encoders.md#convae, and that encoding follows the fitted weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from stages.fit.params import FitParams
from stages.models.encoders.image.autoencoder import Autoencoder
from stages.models.encoders.image.convae import AutoencoderLatent
from stages.models.encoders.protocol import Placement
from tests.stages.fit.case import Case, make_case, png, scenes

SMALL = {"encoder": "convae", "field": "image", "size": 16, "hidden": 24, "latent": 6, "batch": 8, "epochs": 3}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Case:
    case = make_case(tmp_path_factory.mktemp("convae"))
    case.fit(**SMALL)
    return case


@pytest.fixture(scope="module")
def encoder(fitted: Case) -> AutoencoderLatent:
    made = AutoencoderLatent(fitted.outputs.model)
    assert made.load(Placement()).engine == "torch"
    return made


def test_the_published_network_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = Autoencoder(224, 1200, 200)
    assert sum(each.numel() for each in network.parameters()) == 30_602_367
    options = FitParams(encoder="convae", field="image").options.model_dump()
    assert (options["size"], options["hidden"], options["latent"]) == (224, 1200, 200)
    assert (options["batch"], options["epochs"], options["lr"]) == (32, 100, 0.001)


@pytest.mark.parametrize("size", [8, 20, 64, 224])
def test_a_picture_comes_back_in_its_own_shape(size: int) -> None:
    network = Autoencoder(size, 8, 5)
    pictures = torch.randn(2, 3, size, size)
    assert network(pictures).shape == pictures.shape
    latent = network.encoder(pictures)
    assert latent.shape == (2, 5)
    assert bool((latent >= 0).all())


def test_a_size_that_cannot_be_halved_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="multiple of 4"):
        FitParams(encoder="convae", field="image", size=30)


def test_a_constant_picture_is_learnt_by_heart() -> None:
    torch.manual_seed(0)
    network = Autoencoder(32, 64, 16)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    pictures = torch.full((4, 3, 32, 32), 0.7)
    for _ in range(200):
        loss = torch.nn.functional.mse_loss(network(pictures), pictures)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss.detach()) < 1e-2


def test_it_learns_and_says_how_far(fitted: Case) -> None:
    lines = [line.split(",") for line in fitted.outputs.history.read_text().splitlines()[1:]]
    losses = [float(line[1]) for line in lines]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_vectors_are_latent_numbers_and_do_not_depend_on_the_batch(encoder: AutoencoderLatent) -> None:
    prepared = encoder.prepare([picture for _, picture in scenes()[:5]])
    rows = encoder.encode(prepared)
    assert rows.shape == (5, 6) == (5, encoder.dim)
    assert rows.dtype == np.float32
    assert (rows >= 0).all()
    alone = np.concatenate([encoder.encode([each]) for each in prepared])
    np.testing.assert_allclose(rows, alone, rtol=1e-5, atol=1e-6)


def test_either_engine_gives_the_same_vectors(fitted: Case, encoder: AutoencoderLatent) -> None:
    pytest.importorskip("openvino")
    other = AutoencoderLatent(fitted.outputs.model)
    assert other.load(Placement(engine="openvino")).engine == "openvino"
    prepared = encoder.prepare([picture for _, picture in scenes()[:5]])
    np.testing.assert_allclose(other.encode(prepared), encoder.encode(prepared), rtol=1e-4, atol=1e-5)


def test_a_picture_that_cannot_be_decoded_is_left_out_and_counted(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    row = next(at for at, each in enumerate(case.records) if each.part == "train")
    (case.root / "pictures" / f"{case.records[row].id}.png").write_bytes(b"changed since")
    card = case.fit(**SMALL)
    assert card["left_out"] == 1
    assert f"{case.records[row].id} is left out" in caplog.text


def test_grey_and_transparent_pictures_are_pictures_too(encoder: AutoencoderLatent) -> None:
    grey, clear = np.full((9, 30), 80, np.uint8), np.zeros((20, 20, 4), np.uint8)
    assert encoder.encode(encoder.prepare([png(grey), png(clear)])).shape == (2, 6)
