"""What `prepare` finds out about pictures: hashes of what they look like, profiles, files that are none, sizes."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stages.models.encoders.image import decoding
from stages.models.encoders.image.decoding import load_image
from stages.prepare import parallel
from stages.prepare.checks import difference_hash
from store.files.reading import trust_roots
from store.items.records import Item
from tests.stages.models.encoders.image.pictures import P3, encoded, gradient, icc
from tests.stages.prepare.desk import Desk


def drawing(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    dice = np.random.default_rng(seed)
    picture = Image.new("RGB", size, tuple(dice.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        left, top = dice.uniform(0, 0.8, 2) * size
        width, height = dice.uniform(0.1, 0.5, 2) * size
        pen.ellipse((left, top, left + width, top + height), fill=tuple(dice.integers(0, 256, 3).tolist()))
    return picture


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return load_image(buffer.getvalue())


def test_the_bits_stand_row_by_row_and_say_where_it_gets_brighter() -> None:
    grey = np.full((8, 9), 100, np.uint8)
    grey[0] = range(100, 145, 5)  # brighter at every step
    grey[3, 4] = 110  # brighter than its left neighbour, and its right one darker
    grey[7, 8] = 102  # within the margin
    picture = Image.fromarray(grey).convert("RGB").resize((90, 80), Image.Resampling.NEAREST)
    assert difference_hash(picture) == 0xFF << 56 | 1 << (63 - (3 * 8 + 3))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (640, 480)])
def test_flat_pictures_have_no_bit(size: tuple[int, int]) -> None:
    assert difference_hash(Image.new("RGB", size, (200, 10, 10))) == 0
    assert difference_hash(compressed(Image.new("RGB", size, (200, 10, 10)), 30)) == 0


def test_copies_are_near_and_other_pictures_far() -> None:
    hashes = [difference_hash(drawing(seed)) for seed in range(20)]
    for seed, known in enumerate(hashes):
        picture = drawing(seed)
        for copy in (
            compressed(picture, 60),
            picture.resize((160, 120), Image.Resampling.LANCZOS),
            picture.point(lambda value: min(255, value + 8)),
        ):
            assert (difference_hash(copy) ^ known).bit_count() <= 4
    apart = [(a ^ b).bit_count() for place, a in enumerate(hashes) for b in hashes[:place]]
    assert min(apart) > 8


def test_the_manifest_keeps_the_hashes_of_the_pictures_that_were_read(desk: Desk) -> None:
    drawing(1).save(desk.data / "a.png")
    compressed(drawing(1), 80).save(desk.data / "b.jpg")
    desk.put("posts.csv", "id,image,caption,kind\na,a.png,one,x\nb,b.jpg,two,x\nc,,three,x\nd,1.png,four,y\n")
    manifest, _ = desk.prepare()
    hashes, known = manifest.dhashes()
    assert known.tolist() == [True, True, False, True]
    assert hashes[0] == difference_hash(drawing(1))
    assert int(hashes[0] ^ hashes[1]).bit_count() <= 4
    assert hashes[3] == 0


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
    (task,) = parallel._tasks(desk.data, rows, {})
    trust_roots(())
    decoding.allow_pixels(decoding.MAX_PIXELS)  # as in a worker that has just begun
    try:
        here, far, large = parallel.look_at(json.loads(json.dumps(task)))["seen"]
    finally:
        trust_roots(())
    assert here == far
    assert here is not None
    assert large is None
