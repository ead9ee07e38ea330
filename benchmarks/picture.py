"""The results as one picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib

from benchmarks.results import Growth, Line, Results

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

_MEBIBYTE = 2**20


def draw(results: Results, path: Path) -> None:
    """Draw seconds and memory by rows for every peer above, and the growth of seconds in each series below."""
    height = 2 if results.growth else 1
    figure, axes = plt.subplots(height, 3, figsize=(15, 4.3 * height), layout="constrained", squeeze=False)
    _by_rows(axes[0][0], results.compared, "seconds", 1.0)
    _by_rows(axes[0][1], results.compared, "peak memory, MiB", _MEBIBYTE)
    axes[0][1].axhline(1024, color="grey", linestyle=":", label="Glue's smallest worker")
    axes[0][1].legend()
    _ratios(axes[0][2], results.compared)
    axes[0][0].legend()
    for at, growth in zip(axes[-1], results.growth, strict=False):
        _growth(at, growth)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _by_rows(axes: Axes, lines: list[Line], title: str, unit: float) -> None:
    for peer in dict.fromkeys(line.peer for line in lines):
        lines_of_peer = [line for line in lines if line.peer == peer and not line.problem]
        values = [(line.seconds if unit == 1.0 else line.peak_bytes) or 0 for line in lines_of_peer]
        axes.plot([line.rows for line in lines_of_peer], [value / unit for value in values], marker="o", label=peer)
    axes.set(xscale="log", yscale="log", xlabel="rows", title=title)
    axes.grid(visible=True, alpha=0.3)


def _ratios(axes: Axes, lines: list[Line]) -> None:
    """Draw the ratios for the largest file."""
    rows = max(line.rows for line in lines)
    ratios = [(line.peer, line.times_ours) for line in lines if line.rows == rows and line.times_ours is not None]
    bars = axes.barh([peer for peer, _ in ratios], [ratio for _, ratio in ratios])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.axvline(1, color="grey", linestyle=":")
    axes.invert_yaxis()
    axes.set(title=f"time by ours, {rows:,} rows", xscale="log")
    axes.margins(x=0.2)


def _growth(axes: Axes, growth: Growth) -> None:
    labels = list(growth.points)
    for position, peer in enumerate(line.peer for line in next(iter(growth.points.values()))):
        values = [growth.points[label][position].seconds for label in labels]
        axes.plot(labels, [float("nan") if value is None else value for value in values], marker="o", label=peer)
    axes.set(title=f"seconds by {growth.name}", ylim=(0, None))
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
