"""What computes is the machine's choice and told by each segment; the precision that is asked for is the encoder's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stages.embed.encoder import encoder_and_fingerprint
from stages.embed.params import EmbedParams
from stages.encoders.device import resolve_placement
from store import FeatureStore, cosines

from .album import Album

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
