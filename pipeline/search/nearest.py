"""`diptych search`: the cached items nearest to a new picture, text, or both, as a retrieval system ranks them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline import paths
from pipeline.search.system import Words, choose_system, used_features
from pipeline.search.vectors import Query, QueryVectors
from pipeline.verbs import Session
from stages.models.encoders.image.decoding import UndecodableImage, load_image
from stages.retrieve.features import FeatureRows, scaled_blocks
from stages.retrieve.query import Answer, Gallery, ask, choose_gallery, learning_rows
from store.errors import InputError
from store.files.reading import read_regular_file
from store.items.manifest import Manifest
from store.items.split import read_split

SearchPart = Literal["all", "train", "dev", "test"]


@dataclass(frozen=True)
class Request:
    """What is asked on the command line.

    Attributes
    ----------
    system : str or None
        An entry of `retrieve`; None takes the one that goes best with the query.
    image : Path or None
        A picture file.
    words : Words
    k : int
        How many items to find, at least 1.
    part : {"all", "train", "dev", "test"}
        The items that may be found.
    """

    system: str | None
    image: Path | None
    words: Words
    k: int = 10
    part: SearchPart = "all"


@dataclass(frozen=True)
class Hit:
    """One found item; `row` is its place in the manifest, `image` its picture's path as the manifest gives it."""

    rank: int
    row: int
    id: str
    distance: float
    labels: tuple[str, ...]
    texts: Mapping[str, str | None]
    image: str | None


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes
    ----------
    request : Request
    system, head : str
        Who ranked.
    features : list of str
        The matrices that were searched.
    vectors : QueryVectors
        The query, and the manifest that the items stand in.
    gallery : Gallery
    hits : list of Hit
        Nearest first.
    notes : list of str
        What a person should know of how it was done.
    seconds : mapping of str to float
        To make the vectors, with loading of models, and to search.
    """

    request: Request
    system: str
    head: str
    features: list[str]
    vectors: QueryVectors
    gallery: Gallery
    hits: list[Hit]
    notes: list[str]
    seconds: Mapping[str, float]


def _read_image(path: Path | None) -> bytes | None:
    """Read the picture of a query and see that it can be decoded.

    Raises
    ------
    InputError
        When there is no such file, it cannot be read, or it is no picture.
    """
    if path is None:
        return None
    try:
        encoded = read_regular_file(Path(os.path.realpath(path)))  # a person may name a link
        load_image(encoded)
    except OSError as error:
        raise InputError(f"--image: expected a picture at {path}; found: {error.strerror}; name another.") from None
    except UndecodableImage as error:
        raise InputError(f"--image: expected a picture at {path}; found: {error.reason}; name another.") from None
    return encoded


def _check_words(words: Words) -> None:
    """Refuse texts that say nothing.

    Raises
    ------
    InputError
        When one is blank or no UTF-8.
    """
    if words.text is not None:
        _check_text("--text", words.text)
    for name, text in words.named.items():
        _check_text(f"--field {name}", text)


def _check_text(option: str, text: str) -> None:
    if not text.strip():
        raise InputError(f"{option}: expected a text; found {text!r}; write some words or leave it out.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{option}: expected UTF-8; found bytes of another encoding; type it anew.") from None


def search(request: Request, session: Session) -> Found:
    """Find the k items nearest to a query.

    Raises
    ------
    InputError
        When the query is empty, cannot be read or does not go with the system; when k is larger than the gallery; or
        when matrices, encoders and models do not belong together. Nothing is written in any case.
    """
    image, start = _check(request), time.perf_counter()
    chosen = choose_system(session.params, request.system, request.words, pictured=image is not None)
    vectors = QueryVectors(session.params, session.settings, Manifest.open(paths.MANIFEST), Query(image, chosen.texts))
    used, notes = used_features(session.params, chosen.name, vectors.query.given)
    parts = read_split(paths.PARTS, vectors.ids)
    gallery = choose_gallery(_offered(request.part, parts), _usable(vectors, used), request.k)
    asked = {each: vectors.of(each).vector for each in used}
    made = time.perf_counter()
    system = session.params.retrieve[chosen.name]
    fit = learning_rows(system, vectors.manifest, parts, _usable(vectors, system.features))
    read = used if system.clustering is None else system.features  # clusters are those of the whole system
    blocks = scaled_blocks([vectors.matrix(each) for each in read], system.scale, fit)
    features = FeatureRows(blocks, gallery.items)
    answer = ask(system, [asked.get(each) for each in read], features, fit, request.k, session.progress)
    seconds = {"vectors": made - start, "search": time.perf_counter() - made}
    told = [*notes, *_lacking(vectors, used, gallery), *vectors.notes]
    return Found(request, chosen.name, system.head, used, vectors, gallery, _hits(answer, vectors), told, seconds)


def _check(request: Request) -> bytes | None:
    words = request.words
    if request.image is None and words.text is None and not words.named:
        raise InputError("search: expected a query; found none; give --image FILE, --text TEXT or both.")
    _check_words(words)
    return _read_image(request.image)


def _offered(part: SearchPart, parts: NDArray[np.str_]) -> NDArray[np.bool_]:
    return np.ones(len(parts), np.bool_) if part == "all" else parts == part


def _usable(vectors: QueryVectors, features: Sequence[str]) -> NDArray[np.bool_]:
    return np.asarray(np.any([np.asarray(vectors.matrix(each).usable) for each in features], axis=0))


def _lacking(vectors: QueryVectors, used: Sequence[str], gallery: Gallery) -> list[str]:
    """Say of how many items an input of the query is missing, and what that means for them."""
    notes = []
    for name in used:
        count, total = int((~vectors.matrix(name).usable[gallery.items]).sum()), len(gallery.items)
        if count == total:
            notes.append(f"no item has {name}: it is left out of the search")
        elif count:
            notes.append(f"{count:,} of {total:,} items lack {name}: they count as far off as the others on average")
        if held := vectors.missing_inside(name, gallery.items):
            lacking = f"{held:,} of {total:,} items lack an input of {name}"
            notes.append(f"{lacking}, which holds its missing vector: they lie near each other")
    return notes


def _hits(answer: Answer, vectors: QueryVectors) -> list[Hit]:
    rows, manifest = answer.rows, vectors.manifest
    texts = {name: manifest.texts(name, rows) for name in manifest.info.fields}
    pictures, labels = manifest.images(rows), _labels(manifest, rows)
    return [
        Hit(
            rank=place + 1,
            row=row,
            id=vectors.ids[row],
            distance=float(answer.distances[place]),
            labels=labels[place],
            texts={name: values[place] for name, values in texts.items()},
            image=pictures[place],
        )
        for place, row in enumerate(rows.tolist())
    ]


def _labels(manifest: Manifest, rows: NDArray[np.int64]) -> list[tuple[str, ...]]:
    if manifest.info.task == "regression":
        return [() if np.isnan(value) else (f"{value:g}",) for value in manifest.targets()[rows]]
    return [names or () for names in manifest.labels(rows)]
