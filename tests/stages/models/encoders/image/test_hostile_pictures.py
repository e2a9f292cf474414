"""Files made to harm: what they cost is measured in a process of its own, and broken extras never cost a picture.

Pillow (13.0.0) by itself refuses each of the large ones with an error: none harms it where our own limits fail.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import PngImagePlugin

from stages.models.encoders.image.decoding import UndecodableImage, load_image
from tests.stages.models.encoders.image.pictures import chunk, encoded, gradient, loaded, png

needs_linux = pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is measured as Linux tells it")
CODE = r"""
import json, re, sys, time
from stages.models.encoders.image.decoding import UndecodableImage, load_image
encoded = open(sys.argv[1], "rb").read()
start, reason = time.perf_counter(), None
try:
    load_image(encoded, draft=json.loads(sys.argv[2]))
except UndecodableImage as error:
    reason = error.reason
spent = time.perf_counter() - start
# getrusage would tell the peak of the parent too, which a child is born with.
peak = int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1])
print(json.dumps({"reason": reason, "seconds": spent, "megabytes": peak / 1024}))
"""


def measured(data: bytes, folder: Path, draft: object = None) -> dict[str, float]:
    """Decode in a fresh process and tell seconds and the peak of its memory, Python and all, in megabytes."""
    path = folder / "picture"
    path.write_bytes(data)
    command = [sys.executable, "-c", CODE, str(path), json.dumps(draft)]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def deflated(megabytes: int) -> bytes:
    """Compress so many megabytes of zeros, a thousand to one."""
    pump = zlib.compressobj(9)
    return b"".join(pump.compress(bytes(1 << 20)) for _ in range(megabytes)) + pump.flush()


def with_profile(compressed: bytes) -> bytes:
    """Put a colour profile into a PNG, right behind its header."""
    data = encoded(gradient(), "PNG")
    return data[:33] + chunk(b"iCCP", b"name\0\0" + compressed) + data[33:]


@needs_linux
@pytest.mark.parametrize("draft", [None, [60, 60]])
def test_a_bomb_costs_neither_time_nor_memory(tmp_path: Path, draft: object) -> None:
    whole = png(20_000, 10_000, 8, b"").replace(chunk(b"IDAT", zlib.compress(b"")), chunk(b"IDAT", deflated(573)))
    found = measured(whole, tmp_path, draft)
    assert "pixels" in str(found["reason"])
    assert found["seconds"] < 1
    assert found["megabytes"] < 300


@needs_linux
def test_a_profile_that_expands_without_end_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    found = measured(with_profile(deflated(1024)), tmp_path)
    assert found["reason"]
    assert found["seconds"] < 5
    assert found["megabytes"] < 300


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_broken_colour_profile_is_ignored(kind: str) -> None:
    assert np.array_equal(
        loaded(encoded(gradient(), kind, icc_profile=b"no profile" * 40)), loaded(encoded(gradient(), kind))
    )


def test_a_colour_profile_of_wrong_parts_or_bytes_is_ignored() -> None:
    plain = encoded(gradient(), "JPEG")
    part = b"ICC_PROFILE\0" + bytes([5, 2]) + b"the fifth part of two"
    assert np.array_equal(loaded(plain[:2] + b"\xff\xe2\0" + bytes([len(part) + 2]) + part + plain[2:]), loaded(plain))
    assert np.array_equal(loaded(with_profile(b"not compressed")), np.asarray(gradient()))


def test_a_bomb_of_text_inside_a_png_is_bounded() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("bomb", "a" * 30_000_000, zip=True)
    data = encoded(gradient(), "PNG", pnginfo=info)
    assert len(data) < 100_000
    with pytest.raises(UndecodableImage):
        load_image(data)
