"""Says what a file is that is no picture for us, by its first bytes, and what to do about it; for `decoding`."""

from __future__ import annotations

import re

# No mark may read the same bytes in two ways: a file of many comments would be tried in all of them.
_CONVERT = "; convert it to JPEG or PNG"
_KINDS = (
    (
        rb"....ftyp(heic|heix|hevc|hevx|heim|heis|mif1|msf1)",
        f"HEIC, as phones take it{_CONVERT}, such as by heif-convert",
    ),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", f"JPEG XL{_CONVERT}, such as by djxl"),
    (rb"....ftyp", "a film (MP4, MOV); take a frame of it"),
    (rb"8BPS", f"a Photoshop document{_CONVERT}"),
    (rb"%PDF-", "a PDF; render its page as PNG"),
    (rb"%!PS", "PostScript; render it as PNG"),
    (rb"\x00\x00\x01\x00", f"an icon (ICO){_CONVERT}"),
    (rb"version https://git-lfs", "the pointer of Git LFS, not the file; run `git lfs pull`"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--((?!-->).)*-->\s*)*(<!DOCTYPE svg|<svg)", "SVG; render it as PNG"),
    (rb"(?i)\s*(<!DOCTYPE html|<html|<head|<body)", "a page of HTML, such as an error of the site; fetch it again"),
)
_BEGIN = 512


def kind_of(encoded: bytes) -> str:
    """Return ": it is ..." with what helps, "" where the first bytes are of no kind that is often met."""
    start = encoded[:_BEGIN]
    return next((f": it is {kind}" for mark, kind in _KINDS if re.match(mark, start, re.DOTALL)), "")
