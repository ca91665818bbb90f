"""The pictures of a comparison: a data frame in, a matplotlib ``Figure`` out. Nothing here reads or writes files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from harness.reporting import style
from harness.reporting.style import Label, Look

LOOKS = {
    "teacher": Look(style.BLACK, "s"),
    "without a teacher": Look(style.ORANGE, "v"),
    "with a teacher": Look(style.BLUE, "D"),
    "best student": Look(style.VERMILLION, "o"),
}

LINES = ("-", "--", ":", "-.")
"""Line styles, one per teacher in the order of the teachers, or one per network without a teacher."""


def aps(groups: pd.DataFrame, seeds: pd.DataFrame, levels: Sequence[str]) -> Figure:
    """AP of every group with its interval over images, one panel per level, and one small dot per seed.

    Args:
        groups: columns name, look, level, ap, low, high, in %, in the order of the rows from the top.
        seeds: columns name, level, ap, in %.
        levels: the panels.
    """
    names = list(dict.fromkeys(groups["name"]))
    rows = {name: position for position, name in enumerate(names)}
    figure = Figure(figsize=(11.0, 1.1 + 0.36 * len(names)), layout="constrained")
    grid = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
    for axes, level in zip(grid, levels, strict=True):
        style.plain(axes)
        axes.grid(axis="x", color=style.LIGHT, linewidth=0.5)
        for row in groups[groups["level"] == level].to_dict("records"):
            look, at = LOOKS[row["look"]], rows[row["name"]]
            ends = [row["low"], row["high"]]
            axes.plot(ends, [at, at], color=look.colour, linewidth=2, solid_capstyle="butt", zorder=2)
            style.mark(axes, row["ap"], at, look)
        dots = seeds[seeds["level"] == level]
        dots = dots[dots.groupby("name")["ap"].transform("size") > 1]
        below = [rows[name] + 0.28 for name in dots["name"]]
        axes.scatter(dots["ap"], below, s=11, color=style.GREY, edgecolor="none", zorder=4)
        axes.set_title("mean of the three lists" if level == "mean" else level, loc="left", fontsize=10)
        axes.set_xlabel("AP, %")
        axes.tick_params(axis="y", length=0)
    grid[0].set_yticks(range(len(names)), names)
    grid[0].set_ylim(len(names) - 0.4, -0.6)
    return figure


def parameters(groups: pd.DataFrame, budgets: Sequence[int]) -> Figure:
    """Mean AP against parameters: every group with its interval over images, and the budgets' lines.

    Teachers, which are far larger, have a separate panel with the same AP axis.

    Args:
        groups: columns name, look, params, ap, low, high, in %.
        budgets: parameters.
    """
    large = groups["look"] == "teacher"
    ratio = [2.4, 1.0] if large.any() else [3.0]
    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    panels = figure.subplots(1, len(ratio), sharey=True, squeeze=False, width_ratios=ratio)[0]
    for axes, rows in zip(panels, (groups[~large], groups[large]), strict=False):
        style.plain(axes)
        for row in rows.to_dict("records"):
            look, at = LOOKS[row["look"]], row["params"]
            axes.plot([at, at], [row["low"], row["high"]], color=look.colour, linewidth=1.2, alpha=0.55, zorder=1)
            style.mark(axes, at, row["ap"], look, row["name"])
        style.thousands(axes)
        axes.margins(x=0.8 if len(rows) < 3 else 0.25)
        axes.set_xlabel("parameters")
    panels[0].set_ylabel("mean AP, %")
    for budget in budgets:
        panels[0].axvline(budget, color=style.GREY, linewidth=1, linestyle="--", zorder=0)
        style.write_above(panels[0], f"budget {budget:,}", budget)
    if len(panels) > 1:
        panels[1].xaxis.set_major_locator(MaxNLocator(2))
    for axes, rows in zip(panels, (groups[~large], groups[large]), strict=False):
        labels = [
            Label(row["name"], row["params"], row["ap"], LOOKS[row["look"]].colour) for row in rows.to_dict("records")
        ]
        style.place(axes, labels, [(label.x, label.y) for label in labels], sides=("right", "left"))
    return figure


def against_time(frame: pd.DataFrame) -> Figure:
    """Mean AP against training time, one line per training; a network's name is at the end of its first training.

    Args:
        frame: columns name, look, seed, minutes, ap in %; the rows of a training in the order of its epochs.
    """
    figure = Figure(figsize=(9.0, 4.8), layout="constrained")
    axes = style.plain(figure.subplots())
    labels, drawn = [], []
    for position, (name, network) in enumerate(frame.groupby("name", sort=False)):
        look, line = LOOKS[network["look"].iloc[0]], LINES[position % len(LINES)]
        for number, (_, rows) in enumerate(network.groupby("seed", sort=False)):
            width, alpha = (0.8, 0.4) if number else (1.6, 0.8)
            axes.plot(rows["minutes"], rows["ap"], color=look.colour, linestyle=line, linewidth=width, alpha=alpha)
            style.mark(axes, rows["minutes"].iloc[-1], rows["ap"].iloc[-1], look, alpha=0.4 if number else 1.0)
            drawn += _along(rows["minutes"].to_numpy(), rows["ap"].to_numpy())
            if not number:
                labels.append(Label(str(name), rows["minutes"].iloc[-1], rows["ap"].iloc[-1], look.colour))
    axes.set_xlabel("training time, minutes")
    axes.set_ylabel("mean search AP, %")
    axes.margins(x=0.25)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color=style.LIGHT, linewidth=0.5)
    style.place(axes, labels, drawn, sides=("right", "left", "above", "below"))
    return figure


def orders(frame: pd.DataFrame) -> Figure:
    """Search AP of the same candidates in several studies, one line per candidate, with its name at the last study.

    The best candidate of the last study and that of the first are coloured.

    Args:
        frame: columns candidate, study, minutes, ap in %, rank; studies in the order of the axis.
    """
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = style.plain(figure.subplots())
    studies = frame.drop_duplicates("study")
    places = {name: at for at, name in enumerate(studies["study"])}
    first, last = (frame[(frame["study"] == studies["study"].iloc[at]) & (frame["rank"] == 1)] for at in (0, -1))
    colours = dict.fromkeys(first["candidate"], style.BLUE) | dict.fromkeys(last["candidate"], style.VERMILLION)
    labels = []
    for candidate, rows in frame.groupby("candidate", sort=False):
        colour = colours.get(candidate)
        line: dict[str, Any] = {"linewidth": 2.2, "zorder": 3} if colour else {"linewidth": 1.2, "zorder": 2}
        x, y = [places[name] for name in rows["study"]], rows["ap"].to_list()
        axes.plot(x, y, color=colour or style.MIDDLE, marker="o", markersize=4, **line)
        labels.append(Label(str(candidate), x[-1], y[-1], colour or style.GREY, bold=colour is not None))
    ticks = [f"{row.study}\n{row.minutes:.1f} min each" for row in studies.itertuples()]
    axes.set_xticks(range(len(places)), ticks)
    axes.set_xlim(-0.06 * len(places), 1.14 * len(places) - 1)
    axes.margins(y=0.08)
    axes.set_ylabel("mean search AP, %")
    axes.grid(axis="y", color=style.LIGHT, linewidth=0.5)
    style.place_right(axes, labels)
    return figure


def _along(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return points along a line, for labels to stay clear of."""
    at = np.linspace(0, len(x) - 1, 1 + 20 * (len(x) - 1))
    places = np.arange(len(x))
    return list(zip(np.interp(at, places, x).tolist(), np.interp(at, places, y).tolist(), strict=True))


def recalls(frame: pd.DataFrame, looks: Mapping[str, tuple[str, str]], attributes: Sequence[str]) -> Figure:
    """Recall of every group by the faces' attributes, one panel per attribute.

    Args:
        frame: columns attribute, value, faces, then one column of shares per group.
        looks: group → look and line style.
        attributes: the panels.
    """
    figure = Figure(figsize=(1.2 + 3.6 * max(len(attributes), 2), 4.4), layout="constrained")
    counts = [len(frame[frame["attribute"] == attribute]) for attribute in attributes]
    grid = figure.subplots(1, len(attributes), sharey=True, squeeze=False, width_ratios=counts)[0]
    for axes, attribute in zip(grid, attributes, strict=True):
        style.plain(axes)
        rows = frame[frame["attribute"] == attribute]
        places = range(len(rows))
        for name, (kind, line) in looks.items():
            look = LOOKS[kind]
            drawn: dict[str, Any] = {"marker": look.marker, "markersize": look.size, "markeredgecolor": "white"}
            drawn |= {"color": look.colour, "linestyle": line, "linewidth": 1.8, "clip_on": False}
            axes.plot(places, 100 * rows[name], label=name, **drawn)
        ticks = [f"{value}\n{count:,}" for value, count in zip(rows["value"], rows["faces"], strict=True)]
        axes.set_xticks(places, [tick.replace(" and more", "\nand more") for tick in ticks], fontsize=8.5)
        axes.margins(x=0.12)
        axes.set_title(attribute, loc="left", fontsize=10)
        axes.grid(axis="y", color=style.LIGHT, linewidth=0.5)
    grid[0].set_ylim(0, 100)
    grid[0].set_ylabel("faces found, %")
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 3), frameon=False, fontsize=9)
    return figure


def differences(pairs: pd.DataFrame) -> Figure:
    """Differences of mean AP, with the interval over images (thick) and over seeds (thin), and a line at zero.

    Args:
        pairs: columns panel, name, value, low, high, seeds_low, seeds_high, in points; the last two NaN if there
            is none. Each panel has its own scale, because teachers lie far away.
    """
    panels = list(dict.fromkeys(pairs["panel"]))
    counts = [int((pairs["panel"] == panel).sum()) for panel in panels]
    figure = Figure(figsize=(9.0, 0.8 + 0.75 * len(panels) + 0.36 * len(pairs)), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=counts)[:, 0]
    for axes, panel in zip(grid, panels, strict=True):
        _forest(axes, pairs[pairs["panel"] == panel])
        axes.set_title(panel, loc="left", fontsize=10)
    handles = [Line2D([], [], color=style.BLUE, linewidth=4), Line2D([], [], color=style.ORANGE, linewidth=1.6)]
    names = ["95 % over images", "95 % over seeds"]
    figure.legend(handles, names, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    grid[-1].set_xlabel("points of mean AP")
    return figure


def _forest(axes: Axes, pairs: pd.DataFrame) -> None:
    style.plain(axes)
    axes.axvline(0, color=style.BLACK, linewidth=1)
    axes.grid(axis="x", color=style.LIGHT, linewidth=0.5)
    for at, row in enumerate(pairs.to_dict("records")):
        axes.plot([row["low"], row["high"]], [at, at], color=style.BLUE, linewidth=4, solid_capstyle="butt", zorder=2)
        axes.plot([row["seeds_low"], row["seeds_high"]], [at + 0.22] * 2, color=style.ORANGE, linewidth=1.6, zorder=2)
        axes.plot([row["value"]], [at], marker="o", color="white", markeredgecolor=style.BLUE, markersize=6, zorder=3)
    axes.set_yticks(range(len(pairs)), list(pairs["name"]))
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
