"""The pictures of replayed searches: a data frame in, a matplotlib ``Figure`` out."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.reporting import style

LOOKS: Mapping[str, tuple[str, Any]] = {
    "Optuna alone": (style.VERMILLION, "--"),
    "this harness": (style.BLUE, "-"),
}
"""Who proposes → colour and line style."""

BAND = 0.18
"""Opacity of the bands between quartiles."""


def curves(frame: pd.DataFrame, levels: Mapping[str, float], across: str) -> Figure:
    """Best AP by trial or by epochs, one panel per sampler: medians as lines, quartiles as bands.

    Args:
        frame: columns sampler, who (a key of ``LOOKS``), x, low, median, high, in %; NaN where there is no AP yet.
        levels: text → AP in %, drawn as horizontal lines in every panel.
        across: label of the x axis.
    """
    samplers = list(dict.fromkeys(frame["sampler"]))
    figure = Figure(figsize=(1.6 + 2.7 * max(len(samplers), 2), 4.2), layout="constrained")
    grid = figure.subplots(1, len(samplers), sharey=True, squeeze=False)[0]
    for axes, sampler in zip(grid, samplers, strict=True):
        style.plain(axes)
        axes.grid(axis="y", color=style.LIGHT, linewidth=0.5)
        for (_, height), line in zip(levels.items(), _LEVELS, strict=False):
            axes.axhline(height, color=style.BLACK, linewidth=0.9, linestyle=line, zorder=1)
        for who, rows in frame[frame["sampler"] == sampler].groupby("who", sort=False):
            colour, dashes = LOOKS[str(who)]
            axes.fill_between(rows["x"], rows["low"], rows["high"], color=colour, alpha=BAND, linewidth=0)
            axes.plot(rows["x"], rows["median"], color=colour, linestyle=dashes, linewidth=1.8)
        axes.set_title(sampler, loc="left", fontsize=10)
        axes.set_xlabel(across)
        axes.set_xlim(left=0)
    grid[0].set_ylabel("expected search AP of the chosen network, %")
    _explain(figure, frame["who"].unique().tolist(), list(levels))
    return figure


_LEVELS: tuple[Any, ...] = (":", "-.")
"""Line styles of the horizontal lines."""


def _explain(figure: Figure, who: Sequence[str], levels: Sequence[str]) -> None:
    """Draw the legend below the panels, where it covers nothing."""
    handles: list[Line2D | Patch] = []
    names: list[str] = []
    for name in who:
        colour, dashes = LOOKS[name]
        handles += [Line2D([], [], color=colour, linestyle=dashes, linewidth=1.8), Patch(color=colour, alpha=BAND)]
        names += [f"{name}: median", "quartiles"]
    for name, line in zip(levels, _LEVELS, strict=False):
        handles.append(Line2D([], [], color=style.BLACK, linewidth=0.9, linestyle=line))
        names.append(name)
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
