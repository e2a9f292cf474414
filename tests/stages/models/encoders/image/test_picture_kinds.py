"""What a file is that is no picture for us is said, in bounded time whatever it holds."""

from __future__ import annotations

import time

import pytest

from stages.models.encoders.image.decoding import UndecodableImage, load_image
from stages.models.encoders.image.picture_kinds import kind_of
from tests.stages.models.encoders.image.pictures import gradient, psd


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "it is HEIC, as phones take it; convert it"),
        (b"\xff\x0a\xfa\x1f\x41", "it is JPEG XL; convert it"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "it is JPEG XL; convert it"),
        (b"\0\0\0\x18ftypmp42", "it is a film"),
        (b"<?xml version='1.0'?>\n<!-- drawn -->\n<svg xmlns='x'/>", "it is SVG"),
        (b"\n<!doctype HTML><html>404", "it is a page of HTML"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "it is the pointer of Git LFS, not the file; run `git lfs pull`",
        ),
        (psd(gradient()), "it is a Photoshop document"),
        (b"%PDF-1.7", "it is a PDF"),
    ],
)
def test_what_a_file_is_and_what_helps_is_said(data: bytes, said: str) -> None:
    with pytest.raises(UndecodableImage, match=f"^not one of JPEG, .*, AVIF, JPEG2000: {said}"):
        load_image(data)


def test_other_bytes_are_called_nothing() -> None:
    with pytest.raises(UndecodableImage, match=r"JPEG2000$"):
        load_image(b"anything else")


def test_a_file_of_many_comments_takes_no_time() -> None:
    start = time.perf_counter()
    assert kind_of(b"<!---->" * 200) == ""
    assert kind_of(b"<!-- a --> <!-- b -->\n" * 20 + b"<svg/>").startswith(": it is SVG")
    assert time.perf_counter() - start < 1
