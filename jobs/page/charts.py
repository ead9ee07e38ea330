"""Static charts as SVG text, drawn by pygal; colours are the page's, so they follow light and dark."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence

import pygal
from markupsafe import Markup
from pygal.style import Style

# pygal installs an import hook for its plugins that runs at every later import. No plugin is used.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]

_NOT_DRAWN = re.compile(r"<!--.*?-->|<script.*?</script>", re.DOTALL)
"""pygal's comments and its script for tooltips, which are removed: our pages run no script."""
_WIDTH = 860

_COLOURS = {"updated": 2, "unchanged": 3, "stale": 4, "duplicate": 5, "rejected": 6}
"""Series -> the number of its colour on the page; any other series has the first."""


def colour(series: str) -> str:
    """The colour of a series, as CSS; its value follows light and dark."""
    return f"var(--series-{_COLOURS.get(series, 1)})"


def bars(name: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> Markup:
    """Upright bars, one group per label, the series of a group on top of one another; drawn for half the page."""
    chart = pygal.StackedBar(**_options(series, width=_WIDTH // 2, height=240))
    step = max(1, -(-len(labels) // 5))
    chart.x_labels = list(labels)
    chart.x_labels_major = list(labels)[::step]
    chart.show_minor_x_labels = False
    return _drawn(name, chart, series)


def horizontal_bars(name: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> Markup:
    """Horizontal bars, one per label; drawn for half the page."""
    chart = pygal.HorizontalStackedBar(**_options(series, width=_WIDTH // 2, height=60 + 30 * len(labels)))
    chart.x_labels = list(labels)
    return _drawn(name, chart, series)


def one_bar(name: str, series: Mapping[str, Sequence[float]]) -> Markup:
    """One horizontal bar of several series, without axes or legend: a table beside it has names and numbers."""
    total = sum(value for values in series.values() for value in values)
    options = {**_options(series, width=_WIDTH, height=48), "show_x_labels": False, "show_y_labels": False, "margin": 0}
    chart = pygal.HorizontalStackedBar(**options, show_x_guides=False, show_y_guides=False, range=(0, max(total, 1)))
    return _drawn(name, chart, series)


def _options(series: Iterable[str], *, width: int, height: int) -> dict[str, object]:
    return {
        "style": _style(list(series)),
        "js": (),
        "width": width,
        "height": height,
        "show_legend": False,
        "max_scale": 6,
        "disable_xml_declaration": True,
        "print_values": False,
        "margin": 4,
        "truncate_label": -1,
        "value_formatter": lambda value: f"{value:,.10g}",
    }


def _style(titles: Sequence[str]) -> Style:
    return Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--ink)",
        foreground_strong="var(--ink)",
        foreground_subtle="var(--line)",
        colors=tuple(map(colour, titles)),
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        font_family="inherit",
        label_font_size=13,
        major_label_font_size=13,
        opacity="1",
        opacity_hover="1",
        transition="0s",
    )


def _drawn(name: str, chart: pygal.graph.graph.Graph, series: Mapping[str, Sequence[float]]) -> Markup:
    # A name instead of a random id: the same report gives the same page.
    chart.uuid = name
    for title, values in series.items():
        chart.add(title, list(values))
    drawn = _NOT_DRAWN.sub("", chart.render(is_unicode=True))
    # Hidden from screen readers: the figure's caption says what it shows, and single bars would be noise.
    return Markup(drawn.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))
