"""The picture of early stopping: a data frame in, a matplotlib ``Figure`` out."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.reporting import style

TRIALS = {"kept": (style.MIDDLE, "o"), "stopped": (style.VERMILLION, "x")}
"""Kind of trial → colour and marker."""

FRONTS = {"front of all": (style.ORANGE, 4.5), "front of those kept": (style.BLUE, 1.5)}
"""Front → colour and width of its line; the wide one shows where they differ."""

COLUMNS = 3
"""Most panels beside each other."""


def fronts(frame: pd.DataFrame, across: str) -> Figure:
    """AP against a cost, one panel per sampler: trials kept and stopped, the front of all and that of those kept.

    Args:
        frame: columns sampler, cost, ap (in %, after the last epoch) and kept; a row for every trained trial.
        across: label of the x axis.
    """
    samplers = list(dict.fromkeys(frame["sampler"]))
    columns = min(len(samplers), COLUMNS)
    rows = -(-len(samplers) // columns)
    figure = Figure(figsize=(1.6 + 2.7 * max(columns, 2), 0.8 + 3.2 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, sampler in zip(grid.flat, samplers, strict=False):
        _panel(axes, frame[frame["sampler"] == sampler])
        axes.set_title(sampler, loc="left", fontsize=10)
        axes.set_xlabel(across)
        axes.tick_params(labelbottom=True)
    for axes in grid.flat[len(samplers) :]:
        axes.set_visible(False)
    for axes in grid[:, 0]:
        axes.set_ylabel("search AP, %")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panel(axes: Axes, trials: pd.DataFrame) -> None:
    style.plain(axes)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    if trials["cost"].max() >= 1_000:
        style.thousands(axes)
    kept = trials["kept"].astype(bool)
    for (name, (colour, marker)), rows in zip(TRIALS.items(), (trials[kept], trials[~kept]), strict=True):
        dots: dict[str, Any] = {"marker": marker, "markersize": 4, "linestyle": "none", "zorder": 2}
        axes.plot(rows["cost"], rows["ap"], label=name, color=colour, **dots)
    for (name, (colour, width)), rows in zip(FRONTS.items(), (trials, trials[kept]), strict=True):
        edge = rows.sort_values(["cost", "ap"])
        costs, best = [*edge["cost"], trials["cost"].max()], [*edge["ap"].cummax(), edge["ap"].max()]
        steps: dict[str, Any] = {"drawstyle": "steps-post", "linewidth": width, "zorder": 1}
        axes.plot(costs, best, label=name, color=colour, **steps)
