"""The pictures of a study: a data frame in, a matplotlib ``Figure`` out. Nothing here reads or writes files."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from harness.core.arch import PARTS
from harness.data.truth import LISTS
from harness.reporting import style
from harness.reporting.format import percent
from harness.reporting.study.data import FROM_SLICES
from harness.reporting.style import Label, Look

LOOKS = {
    "V1": Look(style.BLACK, "s"),
    "teacher": Look(style.PURPLE, "s"),
    "V2": Look(style.BLUE, "D"),
    "V2 alone": Look(style.ORANGE, "v"),
    FROM_SLICES: Look(style.GREEN, "P"),
    "best": Look(style.VERMILLION, "o"),
}
"""Heading, or its first word → look, the same in every picture."""

STUDENT = Look(style.SKY, "o", 6.0)
SCORED, LISTED, TRAINED = Look(style.SKY, "o", 3.5), Look(style.ORANGE, "o", 5.0), Look(style.BLUE, "o")
NO_MARKS: Mapping[str, str] = MappingProxyType({})
RING = Look(style.GREEN, "o", 11.0)
PART_COLOURS = dict(
    zip(PARTS, (style.LIGHT, style.YELLOW, style.BLUE, style.SKY, style.GREEN, style.ORANGE), strict=True)
)


def _look(heading: str) -> Look:
    return LOOKS.get(heading) or LOOKS[heading.partition(" ")[0]]


def _points(frame: pd.DataFrame, x: str) -> dict[str, tuple[float, float]]:
    """Return label → (``x``, mean search AP in %)."""
    columns = zip(frame["label"], frame[x].astype(float), 100 * frame["search_ap_mean"].astype(float), strict=True)
    return {label: (at, ap) for label, at, ap in columns}


def _scatter(
    axes: Axes,
    frame: pd.DataFrame,
    x: str,
    headings: Mapping[str, str],
    marks: Mapping[str, str] = NO_MARKS,
    labels: Sequence[Label] = (),
) -> None:
    """Draw the students and the networks that have a heading; label the latter, and add ``labels``.

    The other seeds of a network that has a heading are drawn hollow. Networks in ``marks`` are ringed, those
    with a text more strongly, and labelled with it.
    """
    points = _points(frame, x)
    repeats = {
        label: (points[label], headings[of])
        for label, of in zip(frame["label"], frame["repeat_of"], strict=True)
        if of in headings
    }
    students = set(frame.loc[frame["role"] == "candidate", "label"])
    points = {label: point for label, point in points.items() if label in students or label in headings}
    for label, point in points.items():
        named = label in headings
        style.mark(axes, *point, _look(headings[label]) if named else STUDENT, label, zorder=3 if named else 2)
    for label, (point, heading) in repeats.items():
        look = _look(heading)
        style.mark(axes, *point, look, label, markerfacecolor="none", markeredgecolor=look.colour, zorder=3)
    for label, text in marks.items():
        if label in points:
            ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": RING.colour, "zorder": 4}
            style.mark(axes, *points[label], RING, markeredgewidth=2.5 if text else 1, **ring)
    axes.margins(x=0.1, y=0.15)
    axes.autoscale_view()
    names = [
        Label(heading, *points[label], _look(heading).colour) for label, heading in headings.items() if label in points
    ]
    names += [Label(text, *points[label], RING.colour) for label, text in marks.items() if text and label in points]
    style.place(axes, [*names, *labels], [*points.values(), *(point for point, _ in repeats.values())])


def front(students: pd.DataFrame) -> pd.DataFrame:
    """Return the Pareto front by parameters: rows above the search AP of all rows with fewer or equal parameters."""
    ordered = students.sort_values(["params", "search_ap_mean"], ascending=[True, False])
    best_so_far = ordered["search_ap_mean"].cummax().shift(fill_value=-1.0)
    return ordered[ordered["search_ap_mean"] > best_so_far]


def pareto(
    frame: pd.DataFrame, budget: int, headings: Mapping[str, str], marks: Mapping[str, str] = NO_MARKS
) -> Figure:
    """Search AP against parameters: students, their front, V2 and the budget; V1 and the teacher as horizontal lines.

    Args:
        frame: ``tables.results``, rows with a search AP.
        budget: parameters.
        headings: label → heading of the networks that are named.
        marks: label → text of the networks that are ringed; empty for no text.
    """
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = style.plain(figure.subplots())
    large = {label: heading for label, heading in headings.items() if _is_large(heading)}
    edge = front(frame[frame["role"] == "candidate"])
    steps: dict[str, Any] = {"color": style.SKY, "linewidth": 1.6, "drawstyle": "steps-post", "zorder": 1}
    axes.plot(edge["params"], 100 * edge["search_ap_mean"].astype(float), **steps)
    axes.axvline(budget, color=style.GREY, linewidth=1, linestyle="--", zorder=0)
    levels = {heading: point for label, point in _points(frame, "params").items() if (heading := large.get(label))}
    for heading, (_, ap) in levels.items():
        axes.axhline(ap, color=_look(heading).colour, linewidth=1, linestyle=":", zorder=0)
    starts = _points(edge[:1], "params").values() if len(edge) > 1 else ()
    near = {label: heading for label, heading in headings.items() if label not in large}
    _scatter(axes, frame, "params", near, marks, [Label("front", *start, style.BLUE, bold=False) for start in starts])
    style.write_levels(axes, {f"{heading}\n{params:,.0f}": ap for heading, (params, ap) in levels.items()})
    style.write_above(axes, f"budget {budget:,}", budget)
    style.thousands(axes)
    axes.set(xlabel="parameters", ylabel="mean search AP, %")
    return figure


def scores(frame: pd.DataFrame, budget: int) -> Figure:
    """Scores of all candidates against parameters, and the search AP of those that were trained to the end.

    Args:
        frame: one row per candidate: label, params, and in [0, 1] score, epoch (after an epoch of training) and ap; the
            last two are missing for those that were only scored.
        budget: parameters.
    """
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = style.plain(figure.subplots())
    shown = (("score", SCORED, "score"), ("epoch", LISTED, "after an epoch"), ("ap", TRAINED, "trained to the end"))
    for row in frame.to_dict("records"):
        aps = [(100 * row[column], look) for column, look, _ in shown if pd.notna(row[column])]
        if len(aps) > 1:
            axes.plot([row["params"]] * len(aps), [ap for ap, _ in aps], color=style.GREY, linewidth=0.6, zorder=0)
        for ap, look in aps:
            style.mark(axes, row["params"], ap, look, row["label"], markeredgewidth=0, zorder=look.size)
    for column, look, name in shown:
        if frame[column].notna().any():
            axes.plot([], [], look.marker, color=look.colour, markersize=look.size, label=name)
    axes.axvline(budget, color=style.GREY, linewidth=1, linestyle="--", zorder=0)
    style.write_above(axes, f"budget {budget:,}", budget)
    style.thousands(axes)
    axes.legend(frameon=False, loc="lower left")
    axes.set(xlabel="parameters", ylabel="mean search AP, %")
    return figure


def _is_large(heading: str) -> bool:
    return heading.startswith(("V1", "teacher"))


def parts(counts: pd.DataFrame, budget: int) -> Figure:
    """Parameters by part as stacked bars; below, the same without backbone and teachers, with a separate scale.

    The second panel shows what a backbone leaves of the budget. It is drawn if all students have backbones of one size.

    Args:
        counts: one row per network, indexed by its heading (V1, V2, best …), one column per part.
        budget: parameters.
    """
    students = counts.drop(index=[heading for heading in counts.index if _is_large(str(heading))])
    second = students["backbone"].nunique() == 1
    rows = [len(counts), len(students)] if second else [len(counts)]
    figure = Figure(figsize=(7.2, 1.3 + 0.62 * max(sum(rows), 2)), layout="constrained")
    grid = figure.subplots(len(rows), 1, squeeze=False, height_ratios=rows)
    _stack(grid[0, 0], counts, budget, f"budget {budget:,}")
    grid[0, 0].set_title("whole network", loc="left", fontsize=10)
    if second:
        left = budget - int(students["backbone"].iloc[0])
        _stack(grid[1, 0], students.drop(columns="backbone"), left, f"{left:,} left by the backbone")
        grid[1, 0].set_title("without the backbone", loc="left", fontsize=10)
    grid[-1, 0].set_xlabel("parameters")
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in PART_COLOURS.values()]
    figure.legend(handles, list(PARTS), loc="outside upper center", ncols=len(PARTS), frameon=False, fontsize=9)
    return figure


def _stack(axes: Axes, counts: pd.DataFrame, limit: int, limit_text: str) -> None:
    style.plain(axes)
    width = max(float(counts.sum(axis=1).max()), float(limit)) * 1.16
    starts = pd.Series(0.0, index=counts.index)
    for part in counts.columns:
        colour, sizes = PART_COLOURS[str(part)], counts[part].astype(float)
        axes.barh(range(len(counts)), sizes, left=starts, height=0.62, color=colour, edgecolor="white", linewidth=0.5)
        ink = "white" if colour == style.BLUE else style.BLACK
        for position, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            text = f"{size:,.0f}"
            if size > 0.012 * width * len(text):
                axes.text(start + size / 2, position, text, ha="center", va="center", fontsize=8, color=ink)
        starts = starts + sizes
    for position, total in enumerate(starts):
        # Beyond the budget's line, if the text would cross it.
        at = max(total, limit) if total + 0.16 * width > limit else total
        style.write(axes, f"{total:,.0f}", (at, position), (5, 0), va="center", fontweight="bold")
    axes.set_yticks(range(len(counts)), [str(heading) for heading in counts.index])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.axvline(limit, color=style.BLACK, linewidth=1, linestyle="--", zorder=0)
    axes.set_xlim(0, width)
    style.write_above(axes, limit_text, limit, "center" if limit < 0.8 * width else "right")
    style.thousands(axes)


def totals(edges: Sequence[int], counts: Sequence[int], budget: int) -> Figure:
    """Histogram of configurations by parameters, with those within the budget coloured, and the budget's line.

    Args:
        edges: limits of the bins in parameters: above an edge, up to and including the next.
        counts: configurations, one fewer than ``edges``.
        budget: parameters.
    """
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = style.plain(figure.subplots())
    widths = [after - before for before, after in pairwise(edges)]
    colours = [style.SKY if after <= budget else style.LIGHT for after in edges[1:]]
    axes.bar(edges[:-1], counts, widths, align="edge", color=colours, edgecolor="white", linewidth=0.5)
    axes.axvline(budget, color=style.BLACK, linewidth=1, linestyle="--")
    axes.set_ylim(0, 1.08 * max(max(counts, default=0), 1))
    within = sum(n for after, n in zip(edges[1:], counts, strict=True) if after <= budget)
    text = f"{within:,} of {sum(counts):,} within {budget:,} parameters"
    middle = (axes.get_xlim()[0] + axes.get_xlim()[1]) / 2
    style.write_above(axes, text, budget, "left" if budget < middle else "right")
    style.thousands(axes)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel="parameters", ylabel="configurations")
    return figure


def learning_curves(epochs: pd.DataFrame, headings: Mapping[str, str]) -> Figure:
    """Mean search AP after every epoch: students grey, those stopped early lighter; V2 and the best student labelled.

    The teacher, which has another schedule, is a horizontal line at its last AP.

    Args:
        epochs: columns label, role, state, epoch, ap (mean search AP in [0, 1]).
        headings: label → heading of the networks that are named.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = style.plain(figure.subplots())
    stopped: dict[str, Any] = {"color": style.LIGHT, "linewidth": 1, "marker": "x", "markeredgecolor": style.MIDDLE}
    ends: list[Label] = []
    for label, rows in epochs[epochs["role"] != "teacher"].sort_values("epoch").groupby("label"):
        x, y = rows["epoch"].to_numpy(float), 100 * rows["ap"].to_numpy(float)
        heading = headings.get(str(label))
        if heading is not None:
            colour = _look(heading).colour
            axes.plot(x, y, color=colour, linewidth=2, marker="o", markersize=3.5, zorder=3)
            ends.append(Label(heading, x[-1], y[-1], colour))
        elif rows["state"].iloc[0] == "complete":
            axes.plot(x, y, color=style.MIDDLE, linewidth=1, marker="o" if len(x) == 1 else "", markersize=3, zorder=2)
        else:
            axes.plot(x, y, zorder=1, markevery=[-1], **stopped)
    if (epochs["state"] != "complete").any():
        axes.plot([], [], label="not trained to the end", **stopped)
        axes.plot([], [], color=style.MIDDLE, linewidth=1, label="trained to the end")
        axes.legend(frameon=False, fontsize=9, loc="lower right")
    students = epochs[epochs["role"] != "teacher"]["epoch"]
    low, high = (students.min(), students.max()) if len(students) else axes.get_xlim()
    span = max(high - low, 1)
    axes.set_xlim(low - 0.05 * span, high + 0.22 * span)
    axes.margins(y=0.1)
    teacher = epochs[epochs["role"] == "teacher"].sort_values("epoch")
    levels = {}
    if len(teacher):
        label, level, count = teacher[["label", "ap", "epoch"]].iloc[-1]
        axes.axhline(100 * level, color=style.BLACK, linewidth=1, linestyle=":", zorder=0)
        levels[f"{headings.get(label, label)} after\n{count:,} epochs"] = 100 * level
    axes.autoscale_view(scalex=False)
    style.write_levels(axes, levels)
    style.place(axes, ends, [(end.x, end.y) for end in ends], sides=("right",))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="mean search AP, %")
    return figure


def precision_recall(curves: pd.DataFrame, aps: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Precision against recall, one panel per difficulty.

    Args:
        curves: columns network (a heading), level, recall, precision.
        aps: heading → level → AP in [0, 1], written below the panel beside the network's name.
    """
    figure = Figure(figsize=(9.6, 3.5 + 0.2 * len(aps)), layout="constrained")
    grid = figure.subplots(1, len(LISTS), sharey=True)
    for axes, level in zip(grid, LISTS, strict=True):
        style.plain(axes)
        panel = curves[curves["level"] == level]
        for heading, by_level in aps.items():
            rows, text = panel[panel["network"] == heading], f"{heading} {percent(by_level.get(level))}"
            axes.plot(rows["recall"], rows["precision"], color=_look(heading).colour, linewidth=1.8, label=text)
        axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.17), frameon=False, fontsize=9, handlelength=1.5)
        axes.set_title(level, loc="left", fontsize=10)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall")
    grid[0].set_ylabel("precision")
    return figure


def importance(shares: pd.Series) -> Figure:
    """Importance of every axis, largest on top; ``shares``: axis → share, adding up to 1."""
    ordered = shares.sort_values()
    figure = Figure(figsize=(7.2, 0.9 + 0.3 * len(ordered)), layout="constrained")
    axes = style.plain(figure.subplots())
    axes.barh(range(len(ordered)), 100 * ordered.to_numpy(), height=0.62, color=style.BLUE)
    for position, value in enumerate(ordered):
        axes.text(100 * value, position, f" {100 * value:.0f}", va="center", fontsize=9)
    axes.set_yticks(range(len(ordered)), [str(name) for name in ordered.index])
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    axes.set_xlabel("share, %")
    return figure


def hypervolume(volumes: Sequence[float]) -> Figure:
    """Hypervolume after each trial as a rising staircase; ``volumes``: one value per trial, in their order."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = style.plain(figure.subplots())
    axes.plot(range(1, len(volumes) + 1), volumes, color=style.BLUE, linewidth=1.8, drawstyle="steps-post", marker=".")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.set(xlabel="trials", ylabel="hypervolume")
    return figure


def speed(
    frame: pd.DataFrame,
    headings: Mapping[str, str],
    xlabel: str = "FPS relative to V1",
    marks: Mapping[str, str] = NO_MARKS,
) -> Figure:
    """Search AP against FPS relative to V1's.

    Args:
        frame: ``tables.results``, rows with a search AP and a speed.
        headings: label → heading of the networks that are named.
        xlabel: what the FPS are.
        marks: label → text of the networks that are ringed; empty for no text.
    """
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = style.plain(figure.subplots())
    _scatter(axes, frame, "speed_ratio_to_v1", headings, marks)
    axes.set(xlabel=xlabel, ylabel="mean search AP, %")
    return figure
