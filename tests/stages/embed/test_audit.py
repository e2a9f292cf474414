"""The audit: stored rows encoded again agree, planted ones are named, and lost contents are counted."""

from __future__ import annotations

import numpy as np
import pytest

from stages.contract import SilentProgress
from stages.embed.audit import AuditSettings, audit
from stages.embed.params import EmbedParams
from store import FeatureStore
from store.items.manifest import Manifest
from tests.stages.embed.album import Album


def run(album: Album, share: float = 1.0, **params):
    asked = EmbedParams(**{"encoder": "counting", "field": "caption", **params})
    return audit(
        asked, Manifest.open(album.manifest), FeatureStore(album.store), AuditSettings(share), SilentProgress()
    )


def test_sound_rows_agree_and_the_sample_is_the_share(album):
    album.write([f"text {number}" for number in range(50)])
    assert run(album).stored == 0
    album.embed()
    found = run(album)
    assert (found.stored, found.checked, found.failed, found.wrong) == (50, 50, 0, [])
    assert found.lowest == pytest.approx(1, abs=1e-6)
    assert run(album, 0.1).checked == 5
    assert run(album, 0.0001).checked == 1


def test_planted_vectors_are_named(album):
    album.write([f"text {number}" for number in range(20)])
    album.embed()
    (log,) = FeatureStore(album.store).logs()
    (name,) = log.segments()
    segment = log.files.read(name)
    planted = segment.vectors.copy()
    planted[3] = planted[3][::-1] * np.linspace(-1, 1, planted.shape[1])
    log.append(segment.keys, planted, {"planted": True})
    (album.store / log.folder / "segments" / name).unlink()
    found = run(album)
    manifest = Manifest.open(album.manifest)
    keys, _ = manifest.keys("caption")
    at = int(np.flatnonzero((keys == segment.keys[3]).all(axis=1))[0])
    assert [name for name, _ in found.wrong] == [manifest.ids()[at]]
    assert found.lowest < found.limit


def test_lost_pictures_are_counted(album):
    album.write_pictures([0, 1, 2])
    params = {"encoder": "colorhist", "field": "image"}
    album.embed(**params)
    (album.pictures / "1.png").unlink()
    found = run(album, **params)
    assert (found.checked, found.failed, found.wrong) == (2, 1, [])
