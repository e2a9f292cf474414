"""Pictures of every kind that a data set may hold, and bytes that are none."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from stages.models.encoders.image import decoding
from stages.models.encoders.image.decoding import MAX_PIXELS, UndecodableImage, allow_pixels, decode, load_image
from tests.stages.models.encoders.image.pictures import encoded, gradient, loaded, png, psd, tiff, ycck


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_jpeg_is_refused(share: float) -> None:
    data = encoded(gradient(200, 300), "JPEG")
    with pytest.raises(UndecodableImage):
        load_image(data[: int(len(data) * share)])


def test_a_progressive_jpeg_and_a_png_cut_short_are_refused() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8))
    for data in (encoded(noise, "JPEG", progressive=True), encoded(noise, "PNG")):
        for share in (0.1, 0.5, 0.99):
            with pytest.raises(UndecodableImage):
                load_image(data[: int(len(data) * share)])


@pytest.mark.parametrize(("width", "height"), [(20_000, 10_000), (10_000, 9_000), (100_000, 100_000)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int) -> None:
    assert width * height > MAX_PIXELS
    with pytest.raises(UndecodableImage):
        load_image(png(width, height, 8, b""))


@pytest.mark.filterwarnings("default::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_even_where_pillow_only_warns() -> None:
    with (
        pytest.warns(Image.DecompressionBombWarning),
        pytest.raises(UndecodableImage, match="10000 x 9000 pixels, more than"),
    ):
        load_image(png(10_000, 9_000, 8, b""))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_eight_orientations_give_the_same_picture(orientation: int) -> None:
    upright = gradient()
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = upright if stored is None else upright.transpose(stored)
    for kind in ("PNG", "TIFF", "WEBP"):
        data = encoded(turned, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
        assert np.array_equal(loaded(data), np.asarray(upright)), kind


def test_a_turned_jpeg_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(gradient().transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    assert np.abs(loaded(data) - np.asarray(gradient(), float)).mean() < 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_broken_exif_costs_nothing(kind: str) -> None:
    broken = encoded(gradient(), kind, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    assert np.array_equal(loaded(broken), loaded(encoded(gradient(), kind)))


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    deep = np.linspace(0, 65535, 4096).astype(np.uint16).reshape(64, 64)
    for kind in ("PNG", "TIFF", "PPM"):
        pixels = loaded(encoded(Image.fromarray(deep), kind))
        assert np.abs(pixels[..., 0].astype(float) - deep / 257).max() <= 1, kind
        assert (pixels == 255).mean() < 0.1


def test_sixteen_bit_colour_is_scaled() -> None:
    values = np.arange(0, 65536, 65536 // 64, dtype=np.uint16)[:64]
    rows = b"".join(b"\0" + np.repeat(values[:, None], 3, 1).astype(">u2").tobytes() for _ in range(4))
    pixels = loaded(png(64, 4, 16, rows))
    assert np.abs(pixels[0, :, 1].astype(float) - values / 257).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_of_sixteen_bit_colour_is_scaled(order: str) -> None:
    deep = np.stack([np.linspace(0, 65535, 64), np.full(64, 30_000), np.linspace(65535, 0, 64)], axis=-1)
    data = tiff(np.repeat(deep[None], 4, axis=0).astype(f"{order}u2"))
    assert np.abs(loaded(data)[2] - deep / 257).max() <= 1


def test_a_tiff_of_float_colour_is_refused_and_not_guessed() -> None:
    with pytest.raises(UndecodableImage):
        load_image(tiff(np.zeros((4, 4, 3), "<f4")))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, (0, 255)), (0, 200, (0, 200)), (0, 65535, (0, 255)), (-3, 5, (0, 255)), (0, 1e6, (0, 255)), (0, 0, (0, 0))],
)
def test_floats_follow_the_documented_rule(low: float, high: float, expected: tuple[int, int]) -> None:
    pixels = loaded(encoded(Image.fromarray(np.linspace(low, high, 400, dtype=np.float32).reshape(20, 20)), "TIFF"))
    assert (pixels.min(), pixels.max()) == expected


def test_thirty_two_bit_integers_are_stretched() -> None:
    deep = np.linspace(0, 2_000_000, 400).astype(np.int32).reshape(20, 20)
    pixels = loaded(encoded(Image.fromarray(deep), "TIFF"))
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_floats_that_are_no_numbers_are_refused() -> None:
    data = encoded(Image.fromarray(np.full((4, 4), np.nan, np.float32)), "TIFF")
    with pytest.raises(UndecodableImage, match="finite"):
        load_image(data)


def test_cmyk_is_close_to_the_colours_meant() -> None:
    reference = np.asarray(gradient(), float)
    for kind in ("JPEG", "TIFF"):
        options = {"quality": 95} if kind == "JPEG" else {}
        data = encoded(gradient().convert("CMYK"), kind, **options)
        assert np.abs(loaded(data) - reference).mean() < 10, kind


def test_adobes_inverted_cmyk_is_close_to_the_colours_meant() -> None:
    inverted = encoded(gradient().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in inverted[:200]  # which says that the four channels are stored as their complements
    for data in (inverted, ycck(gradient())):
        assert np.abs(loaded(data) - np.asarray(gradient(), float)).mean() < 10


def transparent_pictures() -> list[tuple[str, bytes]]:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:, :4] = (200, 0, 0, 255)  # the right half is transparent black
    rgba = Image.fromarray(pixels)
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([200, 0, 0, 0, 0, 0])
    palette.paste(0, (0, 0, 4, 8))
    grey = Image.fromarray(pixels[..., 0])
    return [
        ("RGBA", encoded(rgba, "PNG")),
        ("LA", encoded(rgba.convert("LA"), "PNG")),
        ("WebP", encoded(rgba, "WEBP", lossless=True)),
        ("P in PNG", encoded(palette, "PNG", transparency=1)),
        ("P in GIF", encoded(palette, "GIF", transparency=1)),
        ("L with a transparent grey", encoded(grey, "PNG", transparency=0)),
    ]


@pytest.mark.parametrize(
    ("name", "data"), transparent_pictures(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_transparency_lies_on_white(name: str, data: bytes) -> None:
    pixels = loaded(data)
    assert (pixels[:, 5:] == 255).all(), name
    assert (pixels[:, :3, 1] < 250).all()
    assert np.array_equal(pixels, loaded(data))


def test_one_bit_becomes_black_and_white() -> None:
    pixels = loaded(encoded(Image.fromarray(np.eye(8, dtype=bool)), "PNG"))
    assert set(np.unique(pixels)) == {0, 255}


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_several_counts(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    options = {"lossless": True} if kind == "WEBP" else {}
    result = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert result.animated
    assert (np.asarray(result.image) == (255, 0, 0)).all()
    assert not decode(encoded(frames[0], kind, **options)).animated


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 10_000), (10_000, 1)])
def test_odd_shapes_are_pictures(width: int, height: int) -> None:
    assert load_image(encoded(Image.new("RGB", (width, height)), "PNG")).size == (width, height)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, I am a text called .jpg",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"8BPS\0\x01" + bytes(40),
        b"\0\0\0\x18ftypheic" + bytes(40),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\xff\xd8\xff",
        b"GIF89a",
    ],
    ids=["empty", "text", "svg", "psd", "heic", "eps", "jpeg-start", "gif-start"],
)
def test_what_is_no_picture_is_refused_in_the_same_words(data: bytes) -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(UndecodableImage) as caught:
            load_image(data)
        reasons.add(caught.value.reason)
    assert len(reasons) == 1
    assert "0x" not in reasons.pop()


@pytest.mark.parametrize("kind", ["ICO", "EPS", "PDF", "TGA", "PSD"])
def test_a_format_beyond_the_list_is_refused(kind: str) -> None:
    data = psd(gradient()) if kind == "PSD" else encoded(gradient(), kind)
    if kind != "PDF":
        Image.open(io.BytesIO(data)).close()  # Pillow would take it
    with pytest.raises(UndecodableImage, match="not one of"):
        load_image(data)


def test_avif_and_jpeg_2000_are_read() -> None:
    assert np.array_equal(loaded(encoded(gradient(), "JPEG2000")), np.asarray(gradient()))
    assert np.abs(loaded(encoded(gradient(), "AVIF", quality=95)).astype(int) - np.asarray(gradient())).mean() < 2
    deep = Image.fromarray((np.arange(65536, dtype=np.uint32).reshape(256, 256)).astype(np.uint16))
    assert np.array_equal(loaded(encoded(deep, "JPEG2000"))[..., 0], np.rint(np.asarray(deep) / 257).astype(np.uint8))
    clear = gradient().convert("RGBA")
    clear.putalpha(0)
    for kind in ("AVIF", "JPEG2000"):
        assert (loaded(encoded(clear, kind)) == 255).all(), kind  # on white


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000"])
def test_a_damaged_avif_or_jpeg_2000_is_refused(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 90, 3)).astype(np.uint8))
    data = encoded(noise, kind)
    for share in (0.05, 0.5, 0.9):
        with pytest.raises(UndecodableImage):
            load_image(data[: int(len(data) * share)])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("width", "height", "size"), [(25_000, 24_920, "623,000,000"), (10_000, 9_000, "10000 x 9000")]
)
def test_a_picture_that_is_too_large_is_not_called_damaged(width: int, height: int, size: str) -> None:
    with pytest.raises(UndecodableImage) as caught:
        load_image(png(width, height, 8, b""))
    said = f"too large: {size} pixels, more than 89,478,485; shrink it, or raise prepare.max_pixels"
    assert caught.value.reason == said


def test_the_limit_can_be_raised_and_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow itself would refuse 2,400
    monkeypatch.setitem(decoding._limits, "pixels", 1000)
    for most, taken in ((2399, False), (2400, True), (60, False)):
        allow_pixels(most)
        if taken:
            assert load_image(encoded(gradient(), "PNG")).size == (60, 40)
        else:
            with pytest.raises(UndecodableImage, match="too large"):
                load_image(encoded(gradient(), "PNG"))


def test_the_content_decides_and_not_the_name() -> None:
    assert np.array_equal(loaded(encoded(gradient(), "BMP")), np.asarray(gradient()))


def test_threads_decode_alike() -> None:
    data = encoded(gradient(), "JPEG")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(loaded, [data] * 32))
    assert all(np.array_equal(result, results[0]) for result in results)
