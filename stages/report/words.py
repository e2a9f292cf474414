"""How the page writes things: the names of metrics, figures, spreads, times and sizes, and the anchors of its parts."""

from __future__ import annotations

import hashlib
import math
import re

from stages.report.read.experiments import Experiment

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]*")

_NAMES = {
    "f1_macro": "macro F1", "f1_micro": "micro F1", "f1_samples": "F1 per item", "f1_weighted": "weighted F1",
    "subset_accuracy": "subset accuracy", "balanced_accuracy": "balanced accuracy", "mse": "mean squared error",
    "f1_macro_all": "macro F1 (all classes)", "label_accuracy": "label accuracy", "hamming": "Hamming loss",
    "r2": "R²", "top_5": "top-5 accuracy", "f1": "F1",
    "ece": "calibration error", "brier": "Brier score", "mae": "mean absolute error", "rmse": "root mean squared error",
    "precision_macro": "macro precision", "recall_macro": "macro recall", "ovr_accuracy": "one-vs-rest accuracy",
}  # fmt: skip


def metric_name(metric: str) -> str:
    """Return what people call a metric."""
    return _NAMES.get(metric, metric.replace("_", " "))


def number(value: float | None) -> str:
    """Write a figure with three decimals, or with three digits where it is small or large."""
    if value is None or math.isnan(value):
        return "–"
    if value != 0 and (abs(value) < 0.001 or abs(value) >= 1000):
        return f"{value:.3g}"
    return f"{value:.3f}"


def bracketed(ends: tuple[float, float] | None) -> str:
    """Write the ends of an interval, "[0.401, 0.423]"; "" without one."""
    return f"[{number(ends[0])}, {number(ends[1])}]" if ends else ""


def spread(experiment: Experiment, metric: str) -> str:
    """Write a deviation as finely as its mean; "" where there is none."""
    mean, deviation = experiment.means.get(metric), experiment.deviations.get(metric)
    if mean is None or deviation is None or experiment.seeds < 2:
        return ""
    return f"{deviation:.3f}" if mean == 0 or 0.001 <= abs(mean) < 1000 else number(deviation)


def score(experiment: Experiment, metric: str) -> str:
    """Write a mean and its deviation, "0.412 ± 0.004"."""
    mean, deviation = number(experiment.means.get(metric)), spread(experiment, metric)
    return f"{mean} ± {deviation}" if deviation else mean


def signed(value: float) -> str:
    """Write a change with its sign: as finely as scores are written, so that a small one is 0.000."""
    size = f"{abs(value):.3f}" if abs(value) < 0.001 else number(abs(value))
    return f"{'−' if value < 0 else '+' if value > 0 else ''}{size}"


def clock(seconds: float) -> str:
    """Write a time as people say it: "0.4 s", "12 s", "3 min 05 s", "2 h 07 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(whole / 60)
    return f"{minutes // 60} h {minutes % 60:02} min"


def size(count: float) -> str:
    """Write a number of bytes: "812 B", "3.1 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def p_value(p: float) -> str:
    """Write a p: "p = 0.031", and "p < 0.001" for what is smaller."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def shorten(text: str, length: int = 26) -> str:
    """Cut a long label so that it leaves room for the drawing."""
    return text if len(text) <= length else text[: length - 1] + "…"


def anchor(kind: str, name: str) -> str:
    """Return an id that is unique for the kind and the name, and needs no escaping in a link.

    Parameters
    ----------
    kind : str
        Such as "experiment" or "matrix".
    name : str
        Anything. What a name of params.yaml may be made of stays; of all else a digest is taken, behind an underscore
        that no plain name begins with.
    """
    if _PLAIN.fullmatch(name):
        return f"{kind}-{name}"
    return f"{kind}-_{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:16]}"
