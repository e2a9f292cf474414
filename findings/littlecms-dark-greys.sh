#!/usr/bin/env bash
# Pillow's ImageCms (littlecms) converts greys of a linear profile to sRGB by a coarse table: dark greys come out up to
# 9 of 255 levels wrong. Scans and renders in linear grey lose their shadows, without a word.
# Guess before running: right to one level, as RGB profiles by a matrix are.
# Seen: Pillow 13.0.0, numpy 2.4.6: the 256 greys of gamma 1.0 are off by up to 9.7 levels with the flags that Pillow
# takes by itself, by less than 1 with Flags.NOOPTIMIZE.
# Whoever converts greys should take NOOPTIMIZE, and a table of 256 entries where that is too slow.
# Fails when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check "pillow==13.0.0" "numpy==2.4.6"
cat > "$work/try.py" <<'PY'
import io
import struct

import numpy as np
import PIL
from PIL import Image, ImageCms


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def linear_grey():
    """Write an ICC profile, version 4: grey, gamma 1.0, white of D50."""
    said = [b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, 2 * len(each), 28) + each.encode("utf-16-be")
            for each in ("Grey", "public domain")]
    white = fixed(0.9642, 1, 0.8249)
    tags = {b"desc": said[0], b"cprt": said[1], b"wtpt": b"XYZ \0\0\0\0" + white,
            b"kTRC": b"para\0\0\0\0\0\0\0\0" + fixed(1.0)}
    place, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s12s4s", place + len(body), b"", 0x04200000, b"mntr", b"GRAY", b"XYZ ", bytes(12), b"acsp")
    return head + bytes(28) + white + bytes(48) + table + body


greys = np.arange(256, dtype=np.uint8)
light = greys / 255
right = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
profile, srgb = ImageCms.ImageCmsProfile(io.BytesIO(linear_grey())), ImageCms.createProfile("sRGB")


def worst(flags):
    convert = ImageCms.buildTransform(profile, srgb, "L", "RGB", ImageCms.Intent.PERCEPTUAL, flags)
    found = np.asarray(convert.apply(Image.fromarray(greys[None])))[0, :, 0]
    return float(np.abs(found - right).max())


as_given, without = worst(ImageCms.Flags.NONE), worst(ImageCms.Flags.NOOPTIMIZE)
print("Pillow", PIL.__version__, "numpy", np.__version__)
print(f"  off by up to {as_given:.1f} levels as given, {without:.1f} with NOOPTIMIZE")
assert as_given > 9, "changed: greys are right now"
assert without < 1, "changed: NOOPTIMIZE is no remedy"
PY
"$work/env/bin/python" "$work/try.py"
