"""Pictures of every kind that a data set may hold, and bytes that are none."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from stages.encoders.decoding import MAX_PIXELS, UndecodableImage, decode, load_image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(height: int = 40, width: int = 60) -> Image.Image:
    down, across = np.mgrid[0:height, 0:width]
    pixels = np.stack([down * 255 // height, across * 255 // width, np.full_like(down, 90)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def loaded(data: bytes) -> np.ndarray:
    image = load_image(data)
    assert image.mode == "RGB"
    return np.asarray(image)


def png(width: int, height: int, depth: int, rows: bytes) -> bytes:
    """Write an RGB picture by hand, since Pillow writes neither 16-bit colour nor headers that lie."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_jpeg_is_refused(share: float) -> None:
    data = encoded(gradient(200, 300), "JPEG")
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


def test_broken_exif_costs_nothing() -> None:
    data = encoded(gradient(), "PNG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken")
    assert np.array_equal(loaded(data), np.asarray(gradient()))


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


def test_a_format_beyond_the_list_is_refused() -> None:
    with pytest.raises(UndecodableImage, match="not one of"):
        load_image(encoded(gradient(), "ICO"))


def test_the_content_decides_and_not_the_name() -> None:
    assert np.array_equal(loaded(encoded(gradient(), "BMP")), np.asarray(gradient()))


def test_a_bomb_of_text_inside_a_png_is_bounded() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "a" * 30_000_000, zip=True)
    data = encoded(gradient(), "PNG", pnginfo=info)
    assert len(data) < 100_000
    with pytest.raises(UndecodableImage):
        load_image(data)


def test_threads_decode_alike() -> None:
    data = encoded(gradient(), "JPEG")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(loaded, [data] * 32))
    assert all(np.array_equal(result, results[0]) for result in results)
