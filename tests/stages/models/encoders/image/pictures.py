"""Files of pictures for the tests of the decoder; those that Pillow does not write are put together by hand."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from stages.models.encoders.image.decoding import load_image


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


def chunk(kind: bytes, body: bytes) -> bytes:
    """Write one chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, rows: bytes) -> bytes:
    """Write an RGB picture by hand, since Pillow writes neither 16-bit colour nor headers that lie."""

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(pixels: np.ndarray) -> bytes:
    """Write [H, W, 3] pixels of 16-bit integers or 32-bit floats in their own byte order, uncompressed."""
    height, width, channels = pixels.shape
    order, body = (">", pixels.tobytes()) if pixels.dtype.byteorder == ">" else ("<", pixels.tobytes())
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, 8 + len(body)),  # bits per sample, behind the pixels
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(body)),
        (339, 3, channels, 8 + len(body) + 2 * channels),  # sample formats, behind those
    ]
    bits = struct.pack(f"{order}{channels}H", *[pixels.itemsize * 8] * channels)
    formats = struct.pack(f"{order}{channels}H", *[3 if pixels.dtype.kind == "f" else 1] * channels)
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(body) + 4 * channels)
    entries = b"".join(_tag(order, *tag) for tag in tags)
    return head + body + bits + formats + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)


def _tag(order: str, number: int, kind: int, count: int, value: int) -> bytes:
    short = kind == 3 and count == 1
    return struct.pack(
        f"{order}HHI" + ("HH" if short else "I"), number, kind, count, *([value, 0] if short else [value])
    )


def ycck(image: Image.Image) -> bytes:
    """Write a JPEG as Adobe's programs do for print: inverted CMYK, its colours turned into YCbCr."""
    cmyk = np.asarray(image.convert("CMYK"))
    # The file holds YCbCr of the inverse of what it stores for CMY, which is inverted once already, and K inverted.
    colours = np.asarray(Image.fromarray(cmyk[..., :3]).convert("YCbCr"))
    # Pillow inverts once more on writing, so the complement of what the file shall hold is handed in.
    held = 255 - np.concatenate([colours, 255 - cmyk[..., 3:]], axis=-1)
    data = bytearray(encoded(Image.fromarray(held, "CMYK"), "JPEG", quality=95))
    data[data.index(b"Adobe") + 11] = 2  # the transform: YCCK
    return bytes(data)


def psd(image: Image.Image) -> bytes:
    """Write a flat Photoshop file."""
    planes = np.moveaxis(np.asarray(image), 2, 0).tobytes()
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, image.height, image.width, 8, 3)
    return head + bytes(12) + struct.pack(">H", 0) + planes


P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # that of sRGB, and of Display P3


def icc(name: str, primaries: tuple[tuple[float, float, float], ...], gamma: float | None = None) -> bytes:
    """Write a colour profile (version 4) by its primaries under D50, of grey where there are none."""

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    curve = b"para\0\0\0\0" + (b"\0\3\0\0" + fixed(*_CURVE) if gamma is None else b"\0\0\0\0" + fixed(gamma))
    text = [b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, 2 * len(each), 28) + each.encode("utf-16-be")
            for each in (name, "public domain")]  # fmt: skip
    tags = {b"desc": text[0], b"cprt": text[1], b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)}
    for channel, primary in zip((b"r", b"g", b"b"), primaries, strict=False):
        tags |= {channel + b"XYZ": b"XYZ \0\0\0\0" + fixed(*primary), channel + b"TRC": curve}
    if not primaries:
        tags[b"kTRC"] = curve
    place, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    space = b"RGB " if primaries else b"GRAY"
    head = struct.pack(
        ">I4sI4s4s4s12s4s", place + len(body), b"", 0x04200000, b"mntr", space, b"XYZ ", bytes(12), b"acsp"
    )
    head += bytes(28) + fixed(0.9642, 1, 0.8249) + bytes(48)
    return head + table + body
