"""Write the tables of nlvr.md between their marks, and nlvr.svg, from the CSVs beside it; run it by its path."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

HERE = Path(__file__).parent
SYSTEMS = {
    "picture": "picture: bag of visual words",
    "sentence": "sentence: MiniLM",
    "image": "φ_x behind the encoder",
    "text": "φ_t behind the encoder",
    "concat": "[φ_t; φ_x], no gate",
    "seeded": "gated, never trained",
    "gated": "gated (the paper's)",
}
PROTOCOLS = {"nlvr": "P-image", "nlvr-group": "P-group"}
Values = dict[tuple[str, str], tuple[float, float]]


def read(name: str) -> tuple[Values, int]:
    """Return (mean, deviation) in per cent by entry and metric, and how many repetitions there are."""
    with (HERE / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    values = {
        (row["name"], row["metric"]): (100 * float(row["mean"]), 100 * float(row["std"] or "nan")) for row in rows
    }
    return values, max(int(row["seeds"]) for row in rows)


def cell(values: Values, entry: str, metric: str) -> str:
    """Write mean and deviation, or a dash where the system was not asked so."""
    if (entry, metric) not in values:
        return "–"
    mean, spread = values[entry, metric]
    return f"{mean:.1f} ± {spread:.1f}" if math.isfinite(spread) else f"{mean:.1f}"


def table(values: Values, columns: dict[str, tuple[str, str]]) -> list[str]:
    """Lay out one row per system; a column is an ending of the entries' names and a metric."""
    lines = [f"| system | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for system, title in SYSTEMS.items():
        cells = [cell(values, f"{system}-{end}", metric) for end, metric in columns.values()]
        if any(each != "–" for each in cells):
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return lines


def section(name: str) -> str:
    """Return the tables of one protocol."""
    values, seeds = read(name)
    near = {f"top-{k}": ("knn", f"top_{k}") for k in (1, 3, 5, 10)}
    near |= {"top-1 with twins": ("knn", "with_identical_top_1"), "blind top-1": ("knn", "random_top_1")}
    clusters = {"k-means + SVM, top-1": ("svm", "top_1"), "top-10": ("svm", "top_10")}
    clusters |= {"cluster accuracy": ("svm", "cluster_accuracy"), "one-vs-rest": ("svm", "ovr_accuracy")}
    clusters |= {"largest cluster": ("svm", "cluster_accuracy_majority")}
    clusters |= {"same identifier, top-1": ("same-svm", "top_1")}
    same = {f"top-{k}": ("same", f"top_{k}") for k in (1, 3, 5, 10)}
    same |= {"top-1 with twins": ("same", "with_identical_top_1"), "blind top-1": ("same", "random_top_1")}
    apart = {f"top-{k}": ("apart", f"top_{k}") for k in (1, 3, 5, 10)} | {"blind top-1": ("apart", "random_top_1")}
    said = f"{seeds} repetition{'s' if seeds > 1 else ''}"
    parts = [
        (f"{PROTOCOLS[name]}, relevant: the same sentence; nearest neighbours, {said}", near),
        (f"{PROTOCOLS[name]}, relevant: the same sentence; clusters, {said}", clusters),
        (f"{PROTOCOLS[name]}, relevant: the same identifier; nearest neighbours, {said}", same),
        (f"{PROTOCOLS[name]}, relevant: the same sentence, siblings left out, {said}", apart),
    ]
    return "\n\n".join("\n".join([f"**{title}**", "", *table(values, columns)]) for title, columns in parts)


def figure() -> str:
    """Draw top-1 of every system under both protocols, with deviations, as SVG."""
    left, scale, height, gap = 210, 3.6, 11, 34
    lines, top = [], 34
    colours = {"nlvr": "#3b6ea5", "nlvr-group": "#c77b30"}
    asked = {"nlvr": ("knn", "P-image, same sentence"), "nlvr-group": ("same", "P-group, same identifier")}
    for place, (name, (_, said)) in enumerate(asked.items()):
        lines.append(f'<rect x="{left + 190 * place}" y="8" width="10" height="10" fill="{colours[name]}"/>')
        lines.append(f'<text x="{left + 190 * place + 15}" y="17">{said}</text>')
    for row, (system, title) in enumerate(SYSTEMS.items()):
        y = top + row * gap
        lines.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{title}</text>')
        for at, (name, (end, _)) in enumerate(asked.items()):
            values, _ = read(name)
            if (f"{system}-{end}", "top_1") not in values:
                continue
            mean, spread = values[f"{system}-{end}", "top_1"]
            bar = y + at * (height + 1)
            lines.append(
                f'<rect x="{left}" y="{bar}" width="{mean * scale:.1f}" height="{height}" fill="{colours[name]}"/>'
            )
            right = left + mean * scale
            if math.isfinite(spread):
                right += spread * scale
                low, high = (left + max(0.0, mean + sign * spread) * scale for sign in (-1, 1))
                lines.append(f'<path d="M{low:.1f} {bar + 5.5}H{high:.1f}" stroke="#222"/>')
            lines.append(f'<text x="{right + 6:.1f}" y="{bar + 9}" class="n">{mean:.1f}</text>')
    bottom = top + len(SYSTEMS) * gap
    style = "text{font:12px sans-serif;fill:#222}.n{font-size:10px}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 {bottom}" role="img">'
    label = "<title>Share of queries whose nearest neighbour is relevant, in per cent</title>"
    back = f'<rect width="640" height="{bottom}" fill="#fff"/>'
    return "\n".join([head, label, f"<style>{style}</style>", back, *lines, "</svg>", ""])


def main() -> None:
    """Write the page and the figure."""
    page = HERE / "nlvr.md"
    text = page.read_text("utf-8")
    for name in PROTOCOLS:
        mark = f"<!-- {name}: written by nlvr.py -->"
        text = re.sub(f"{mark}.*?{mark}", lambda _, m=mark, n=name: f"{m}\n{section(n)}\n{m}", text, flags=re.DOTALL)
    page.write_text(text, "utf-8")
    (HERE / "nlvr.svg").write_text(figure(), "utf-8")


if __name__ == "__main__":
    main()
