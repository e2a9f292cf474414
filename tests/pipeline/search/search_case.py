"""A small finished project to search in: a table of painted pictures with captions, some of them missing."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from pipeline.search.nearest import Found, Request, search
from pipeline.search.system import Words
from pipeline.verbs import Session, run_verb
from tests.pipeline.project import ROOT, write_params

HOSTILE = '<script>alert("x")</script> & a [red]bus[/red]'
COUNT = 48
VERBS = ("prepare", "split", "embed", "reduce", "fuse", "retrieve")
UNSAID, UNSEEN = (5, 8, 11, 14, 17, 20, 40), (7, 41)
PARAMS: dict[str, Any] = {
    "prepare": {
        "source": "table",
        "path": "posts/posts.csv",
        "table": {
            "id": "id",
            "image": "image",
            "texts": {"title": "title", "caption": "caption"},
            "label": "kind",
            "split": "part",
        },
    },
    "split": {},
    "fit": {},
    "embed": {
        "caption-hash": {"encoder": "hash", "field": "caption"},
        "title-hash": {"encoder": "hash", "field": "title", "dim": 32},
        "image-colors": {"encoder": "colorhist", "field": "image"},
    },
    "reduce": {"image-pca": {"features": "image-colors", "components": 4}},
    "fuse": {
        "joined": {"fusion": "concat", "features": ["caption-hash", "image-colors"], "scale": "standard"},
        "projected": {"fusion": "pca", "features": ["caption-hash", "image-pca"], "components": 3},
    },
    "train": {"dummy": {"features": ["caption-hash"], "head": "dummy"}},
    "evaluate": {},
    "retrieve": {
        "looks": {"features": ["image-colors"], "k": [1, 5]},
        "both": {"features": ["caption-hash", "image-colors"], "scale": "standard", "k": [1, 5]},
        "reduced": {"features": ["caption-hash", "image-pca"], "scale": "none", "k": [1, 5]},
        "fused": {"features": ["joined"], "k": [1, 5]},
        "learned": {"features": ["projected"], "scale": "none", "k": [1, 5]},
        "clusters": {"features": ["joined"], "head": "kmeans_svm", "clusters": 3, "k": [1, 5]},
        "said": {"features": ["title-hash", "caption-hash"], "k": [1, 5]},
        "grouped": {"features": ["caption-hash", "image-pca"], "head": "kmeans_svm", "clusters": 3, "k": [1, 5]},
    },
    "report": {"title": "Posts"},
    "store": {"format": "zarr.zip"},
}
_WORDS = ("bus", "cat", "tree", "sea", "house", "bird", "red", "old", "small", "green")


def paint(number: int) -> Image.Image:
    """Paint stripes of seven colours that no other number has."""
    rng = np.random.default_rng(number)
    return Image.fromarray(np.kron(rng.integers(0, 256, (4, 7, 3), np.uint8), np.ones((5, 3, 1), np.uint8)))


def caption(number: int) -> str | None:
    """Say something that no other number says."""
    if number in UNSAID:
        return None
    rng = np.random.default_rng(1000 + number)
    said = f"{' '.join(rng.choice(_WORDS, 5))} {number}"
    return HOSTILE if number == 0 else said


@dataclass(frozen=True)
class Case:
    """The project; a test works in its folder."""

    root: Path

    def make(self, verbs: tuple[str, ...] = VERBS) -> None:
        """Write the table and run the verbs that a search builds on; the working folder must be the project."""
        posts = self.root / "posts"
        posts.mkdir()
        rows = [self._row(number, posts) for number in range(COUNT)]
        with (posts / "posts.csv").open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([["id", "image", "title", "caption", "kind", "part"], *rows])
        shutil.copy(ROOT / "dvc.yaml", self.root)
        write_params(self.root, PARAMS)
        for verb in verbs:
            run_verb(verb, None)

    def _row(self, number: int, posts: Path) -> list[str]:
        part = ("train", "train", "train", "train", "dev", "test")[number % 6]
        image = "" if number in UNSEEN else f"{number}.png"
        if image:
            paint(number).save(posts / image)
        return [f"p{number}", image, f"number {number}", caption(number) or "", f"kind {number % 3}", part]

    def retrieved(self, system: str, number: int) -> tuple[list[str], list[float]]:
        """Return what `retrieve` found for an item: ids and distances."""
        table = pq.read_table(self.root / "data/retrieve" / f"{system}.parquet").to_pylist()
        rows = [row for row in table if row["query"] == f"p{number}"]
        return [row["id"] for row in rows], [row["distance"] for row in rows]

    def picture(self, number: int, *, again: bool = False) -> Path:
        """Return an item's picture; `again`: another file with the same pixels, which nothing has stored."""
        if not again:
            return self.root / "posts" / f"{number}.png"
        stream = io.BytesIO()
        paint(number).save(stream, "PNG", compress_level=0)
        path = self.root / f"again-{number}.png"
        path.write_bytes(stream.getvalue())
        return path


def find(image: Path | None = None, text: str | None = None, system: str | None = None, **more: Any) -> Found:
    """Search in the project that is the working folder."""
    words = Words(text, more.pop("named", {}))
    return search(Request(system, image, words, **{"k": 5, **more}), Session.open())


def ids(found: Found) -> list[str]:
    """Return the ids of what was found, nearest first."""
    return [hit.id for hit in found.hits]
