"""Each frozen encoder of the catalogue through the whole of `embed`: shapes, masks, missing vectors, odd inputs."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from stages.embed.params import EmbedParams, encoder_and_fingerprint
from stages.models.encoders.catalog.encoders import ENCODERS
from stages.models.encoders.running.engines import resolve_placement
from store import FeatureStore, cosines
from tests.stages.embed.album import Album

# Large, or slow to load: the same code path as their smaller kin.
_HEAVY = {
    "bert", "bge", "resnet50", "resnet101", "resnet152", "resnet50v2", "inceptionv3", "mobilenetv2", "googlenet",
    "vgg16",
}  # fmt: skip
_PACKAGED = {"minilm", "use", "efficientnet-lite0", "hash", "colorhist", "pixels"}
CAPTIONS = ["two dogs", None, "", "Ünïcode 漢字 🙂", "word " * 300, "two dogs"]


def _named(kind: str) -> list[Any]:
    names = [name for name, row in ENCODERS.items() if row.kind == kind and not row.fitted]
    return [pytest.param(name, marks=pytest.mark.slow if name in _HEAVY else ()) for name in names]


def _choice(name: str) -> dict[str, Any]:
    return {} if name in _PACKAGED else {"model": "random"}


def _encoded(pixels: np.ndarray, suffix: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, suffix)
    return buffer.getvalue()


@pytest.mark.parametrize("name", _named("text"))
def test_texts(album: Album, name: str) -> None:
    album.write(CAPTIONS)
    album.embed(encoder=name, field="caption", **_choice(name))
    matrix = album.matrix()
    assert (len(matrix), matrix.dim) == (len(CAPTIONS), ENCODERS[name].dim)
    # The empty text has a vector, and stands in for missing ones, unless it tells the encoder nothing.
    says_something = ENCODERS[name].empty_text
    assert matrix.present.tolist() == matrix.ok.tolist() == [True, False, says_something, True, True, True]
    vectors = matrix[:].astype(np.float64)
    assert np.array_equal(vectors[0], vectors[5])
    assert np.array_equal(vectors[1], vectors[2])
    assert vectors[1].any() == says_something
    assert len(np.unique(vectors[[0, 1, 4]], axis=0)) == 3


@pytest.mark.parametrize("name", _named("image"))
def test_pictures(album: Album, name: str) -> None:
    china, flower = load_sample_images().images
    alpha = np.dstack([flower[:200, :300], np.full((200, 300), 128, np.uint8)])
    album.write_files(
        [_encoded(china, "JPEG"), None, _encoded(flower[..., 0]), _encoded(alpha), b"no picture", _encoded(china[:3])]
    )
    album.embed(encoder=name, field="image", max_failed_share=0.5, **_choice(name))
    matrix = album.matrix()
    assert (len(matrix), matrix.dim) == (6, ENCODERS[name].dim)
    assert matrix.present.tolist() == [True, False, True, True, True, True]
    assert matrix.ok.tolist() == [True, False, True, True, False, True]
    vectors = matrix[:].astype(np.float64)
    assert not vectors[[1, 4]].any()
    assert len(np.unique(vectors[[0, 2, 3, 5]], axis=0)) == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet50v2", "inceptionv3", "vgg16"])
def test_maps_lie_beside_the_vectors(album: Album, name: str) -> None:
    album.write_files([_encoded(load_sample_images().images[0], "JPEG"), None])
    album.embed(encoder=name, field="image", model="random", map=True, output="pooled")
    matrix = album.matrix()
    shape = {"resnet50v2": (2048, 10, 10), "inceptionv3": (2048, 8, 8), "vgg16": (512, 7, 7)}[name]
    assert matrix.arrays == {"map": (shape, "float16")}
    maps = matrix.read_array("map", slice(0, 2))
    assert not maps[1].any()
    if name != "vgg16":  # whose pooled vector comes out of two more layers
        means, vector = maps[0].astype(np.float64).mean(axis=(1, 2)), matrix[:][0].astype(np.float64)
        assert means == pytest.approx(vector, rel=0.02, abs=0.02)


def test_states_of_tokens_lie_beside_the_vectors(album: Album) -> None:
    album.write(["two dogs", None, "word " * 30])
    album.embed(encoder="minilm", field="caption", tokens=True, max_len=8)
    matrix = album.matrix()
    assert matrix.arrays == {"tokens": ((8, 384), "float16"), "token_mask": ((8,), "bool")}
    masks = matrix.read_array("token_mask", slice(0, 3))
    assert masks.sum(axis=1).tolist() == [4, 0, 8]  # [CLS] two dogs [SEP]
    states = matrix.read_array("tokens", slice(0, 3)).astype(np.float64)
    assert not states[~masks].any()
    mean = states[0][masks[0]].mean(axis=0)
    assert mean / np.linalg.norm(mean) == pytest.approx(matrix[:][0].astype(np.float64), abs=2e-3)


# A real network that is quick to load.
ASKED = {"encoder": "resnet18", "field": "image", "model": "random", "size": 64, "dtype": "float32"}


def provenances(album: Album) -> list[dict[str, Any]]:
    logs = FeatureStore(album.store).logs()
    return [dict(log.files.read(name).provenance) for log in logs for name in log.segments()]


def rows_of(album: Album, **params: Any) -> np.ndarray:
    settings = {"store": FeatureStore(album.root / f"store-{len(list(album.root.iterdir()))}", durability="none")}
    album.embed(settings=settings | params.pop("settings", {}), **ASKED, **params)
    return album.rows()


@pytest.fixture
def pictures(album: Album) -> Album:
    album.write_pictures(range(5))
    return album


@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_segment_tells_what_computed_its_rows(pictures, engine, precision):
    result = pictures.embed(**ASKED, precision=precision, settings={"engine": engine, "device": "cpu"})
    (told,) = provenances(pictures)
    assert (told["engine"], told["device"]) == (engine, "cpu")
    assert told["engine_version"][0].isdigit()
    assert told["compute_dtype"] in ({"float32"} if precision == "exact" else {"float32", "bfloat16"})
    assert result.runtime == f"{engine} {told['compute_dtype']} on cpu"


def test_rows_of_one_engine_serve_the_other(pictures):
    assert pictures.embed(**ASKED, settings={"engine": "torch"}).new == 5
    again = pictures.embed(**ASKED, settings={"engine": "openvino"})
    assert (again.cached, again.new, again.runtime) == (5, 0, "")


def test_rows_of_both_engines_agree_as_the_contract_says(pictures):
    torch, openvino, fast = (
        rows_of(pictures, settings={"engine": engine}, precision=precision)
        for engine, precision in (("torch", "exact"), ("openvino", "exact"), ("openvino", "fast"))
    )
    assert cosines(torch, openvino).min() >= 0.999999
    assert cosines(torch, fast).min() >= 0.999


def test_the_precision_is_part_of_the_fingerprint_and_its_rows_are_kept_apart(pictures):
    prints = [encoder_and_fingerprint(EmbedParams(**ASKED, precision=each))[1] for each in ("exact", "fast")]
    assert [each.partition(":")[0] for each in prints[0].differences(prints[1])] == ["numeric_contract"]
    pictures.embed(**ASKED)
    assert pictures.embed(**ASKED, precision="fast").new == 5
    assert len(FeatureStore(pictures.store).logs()) == 2


def test_a_processor_takes_openvino_by_itself(pictures):
    assert resolve_placement("cpu", "auto", "exact").engine == "openvino"
    pictures.embed(**ASKED, settings={"device": "cpu"})
    assert provenances(pictures)[0]["engine"] == "openvino"
