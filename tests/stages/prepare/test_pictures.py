"""What `prepare` says of pictures: their profiles, what a file is that is none, and how large one may be."""

from __future__ import annotations

import json

import pytest

from stages.encoders import decoding
from stages.items import Item, trust_roots
from stages.prepare import apart
from tests.stages.encoders.pictures import P3, encoded, gradient, icc

from .desk import Desk


def test_pictures_with_a_profile_that_is_not_srgb_are_counted(desk: Desk) -> None:
    for number, profile in enumerate([icc("Display P3", P3), icc("Display P3", P3), icc("Grey", (), 2.2), b""]):
        (desk.data / f"{number}.png").write_bytes(encoded(gradient(), "PNG", icc_profile=profile))
    (desk.data / "2.png").write_bytes(encoded(gradient().convert("L"), "PNG", icc_profile=icc("Grey", (), 2.2)))
    desk.put("posts.csv", "id,image,caption,kind\n" + "".join(f"{n},{n}.png,text,x\n" for n in range(6)))
    _, summary = desk.prepare()
    assert summary.profiles == {"Display P3": 2, "Grey": 1}
    (note,) = summary.notes
    assert note.startswith("3 pictures have a colour profile that is not sRGB (Display P3 2, Grey 1); ")
    assert note.endswith("`profile: srgb`")


def test_avif_under_another_name_is_read_and_heic_is_called_by_its_own(desk: Desk) -> None:
    (desk.data / "0.png").write_bytes(encoded(gradient(), "AVIF"))
    (desk.data / "1.png").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    desk.put("posts.csv", "id,image,caption,kind\n" + "".join(f"{n},{n}.png,text,x\n" for n in range(3)))
    manifest, summary = desk.prepare(max_reject_share=0.5)
    assert manifest.ids() == ["0", "2"]
    assert summary.rejected == {"unreadable-image": 1}
    assert "it is HEIC" in (desk.out / "rejects.csv").read_text()


def test_the_largest_picture_is_a_choice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoding._limits, "pixels", decoding.MAX_PIXELS)  # put back afterwards
    desk.put("posts.csv", "id,image,caption,kind\n0,0.png,text,x\n1,1.png,text,x\n")
    (desk.data / "1.png").write_bytes(encoded(gradient(), "PNG"))  # 60 x 40, the others 6 x 4
    manifest, summary = desk.prepare(max_pixels=2399, max_reject_share=0.5)
    assert (manifest.ids(), summary.rejected) == (["0"], {"unreadable-image": 1})
    assert "too large: 60 x 40 pixels, more than 2,399; shrink it" in (desk.out / "rejects.csv").read_text()
    assert desk.prepare(max_pixels=2400)[0].ids() == ["0", "1"]


def test_a_worker_is_told_which_roots_to_trust_and_how_large_a_picture_may_be(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(decoding._limits, "pixels", 24)
    (desk.data / "far.png").symlink_to(desk.data.parent / "elsewhere.png")
    (desk.data.parent / "elsewhere.png").write_bytes((desk.data / "0.png").read_bytes())
    (desk.data / "large.png").write_bytes(encoded(gradient(), "PNG"))
    rows = [Item(name, f"{name}.png", {}, None, None, name) for name in ("0", "far", "large")]
    trust_roots([desk.data.parent])
    (task,) = apart._tasks(desk.data, rows, {})
    trust_roots(())
    decoding.allow_pixels(decoding.MAX_PIXELS)  # as in a worker that has just begun
    try:
        here, far, large = apart.look_at(json.loads(json.dumps(task)))["seen"]
    finally:
        trust_roots(())
    assert here == far
    assert here is not None
    assert large is None
