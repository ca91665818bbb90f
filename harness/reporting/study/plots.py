"""The pictures of a report: a data frame in, a matplotlib ``Figure`` out. Nothing here reads or writes files.

Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/), which stay apart under the common colour blindnesses.
No pyplot: figures are built without a global state or a display.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from harness.reporting.study.data import Example

DPI = 150

Bounds = tuple[float, float, float, float]

BLACK, GREY, MIDDLE, LIGHT = "#000000", "#6b6b6b", "#8a8a8a", "#c4c4c4"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

NETWORKS = {"V1": BLACK, "teacher": PURPLE, "V2": BLUE, "best": VERMILLION}
"""Heading → colour, the same in every picture."""

MARKERS = {"V1": "s", "teacher": "s", "V2": "D", "best": "o"}

PARTS = {
    "backbone": LIGHT,
    "attention": YELLOW,
    "neck": BLUE,
    "context": SKY,
    "shuffle": GREEN,
    "head": ORANGE,
}
LEVELS = ("easy", "medium", "hard")


@dataclass(frozen=True)
class Named:
    """A point or curve end with a name: V1, another teacher, V2 or the best student."""

    heading: str
    label: str
    x: float
    y: float

    @property
    def text(self) -> str:
        """Return what is written beside it."""
        return f"{self.heading} ({self.label})" if self.heading in ("best", "teacher") else self.heading


def plain(axes: Axes) -> Axes:
    """Take away what only decorates a diagram."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelsize=9)
    return axes


def _thousands(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _write(axes: Axes, text: str, point: tuple[float, float], offset: tuple[float, float], **style: Any) -> None:
    """Write on a white edge, so that the text stays readable over lines and points."""
    around = [withStroke(linewidth=2.5, foreground="white")]
    axes.annotate(
        text, point, xytext=offset, textcoords="offset points", path_effects=around, annotation_clip=False, **style
    )


def _name(axes: Axes, named: Sequence[Named], crowd: Sequence[tuple[float, float]]) -> None:
    """Name points, each on the side where its text covers the fewest points of ``crowd`` and no earlier text."""
    figure = axes.get_figure(root=True)
    if figure is None:
        return
    figure.draw_without_rendering()
    to_points = 72 / figure.dpi
    others = [tuple(to_points * value for value in axes.transData.transform(point)) for point in crowd]
    frame = [to_points * value for value in axes.get_window_extent().extents]
    taken: list[Bounds] = []
    for point in sorted(named, key=lambda point: -point.y):
        x, y = (to_points * value for value in axes.transData.transform((point.x, point.y)))
        width, height, gap = 5.8 * len(point.text), 11.0, 6.0
        sides: dict[tuple[str, str], Bounds] = {
            ("center", "bottom"): (x - width / 2, y + gap, x + width / 2, y + gap + height),
            ("center", "top"): (x - width / 2, y - gap - height, x + width / 2, y - gap),
            ("left", "center"): (x + gap, y - height / 2, x + gap + width, y + height / 2),
            ("right", "center"): (x - gap - width, y - height / 2, x - gap, y + height / 2),
        }
        side = min(sides, key=lambda side: _clutter(sides[side], others, taken, frame))
        taken.append(sides[side])
        offset = (
            {"left": gap, "right": -gap}.get(side[0], 0.0),
            {"bottom": gap, "top": -gap}.get(side[1], 0.0),
        )
        style = {"color": NETWORKS[point.heading], "fontsize": 9.5, "fontweight": "bold", "zorder": 4}
        _write(axes, point.text, (point.x, point.y), offset, ha=side[0], va=side[1], **style)


def _clutter(
    box: Bounds, points: Sequence[tuple[float, ...]], boxes: Sequence[Bounds], frame: Sequence[float]
) -> float:
    """Return what a text at ``box`` would cover: points, other texts, or the picture's edge."""
    left, low, right, high = box
    covered = sum(left - 4 < x < right + 4 and low - 4 < y < high + 4 for x, y in points)
    crossed = sum(left < x2 and x1 < right and low < y2 and y1 < high for x1, y1, x2, y2 in boxes)
    outside = left < frame[0] or right > frame[2] or low < frame[1] or high > frame[3]
    return float(covered + 3 * crossed + 5 * outside)


def _networks(points: pd.DataFrame, x: str, best: str | None) -> list[Named]:
    """Return the networks with a name as far as ``points`` holds them, at (``x``, AP in %)."""
    labels = {**_teachers(points), "v2": "V2", best: "best"}
    columns = zip(points["label"], points[x].astype(float), 100 * points["ap_mean"].astype(float), strict=True)
    return [Named(labels[label], label, at, ap) for label, at, ap in columns if label in labels]


def _teachers(points: pd.DataFrame) -> dict[str | None, str]:
    """Return label → heading of the teachers among rows with a ``label`` and a ``role``."""
    taught = points.loc[points["role"] == "teacher", "label"]
    return {str(label): "V1" if label == "v1" else "teacher" for label in taught}


def _scatter(axes: Axes, points: pd.DataFrame, x: str, named: Sequence[Named]) -> list[tuple[float, float]]:
    """Draw students and the named networks; return every point drawn."""
    students = points[points["role"] == "candidate"]
    small: dict[str, Any] = {"s": 34, "color": SKY, "edgecolor": "white", "linewidth": 0.6, "zorder": 2}
    drawn = list(zip(students[x].astype(float), 100 * students["ap_mean"].astype(float), strict=True))
    axes.scatter([at for at, _ in drawn], [ap for _, ap in drawn], **small)
    for point in named:
        colour, marker = NETWORKS[point.heading], MARKERS[point.heading]
        axes.scatter(point.x, point.y, s=60, color=colour, marker=marker, edgecolor="white", zorder=3)
    return drawn + [(point.x, point.y) for point in named]


def _level(axes: Axes, height: float, text: str) -> None:
    """Name a horizontal line, right of the axes, where it hides nothing."""
    _write(axes, text, (axes.get_xlim()[1], height), (5, 0), fontsize=9.5, fontweight="bold", va="center")


def front(students: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that no row with as few parameters matches in AP, by parameters."""
    ordered = students.sort_values(["params", "ap_mean"], ascending=[True, False])
    best_so_far = ordered["ap_mean"].cummax().shift(fill_value=-1.0)
    return ordered[ordered["ap_mean"] > best_so_far]


def pareto(frame: pd.DataFrame, budget: int, best: str | None) -> Figure:
    """AP against parameters: students, their front, V2, the budget's line, and the teacher's AP as a level to reach.

    Args:
        frame: ``tables.results``, rows with an AP.
        budget: parameters.
        best: label of the best student.
    """
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = plain(figure.subplots())
    named = _networks(frame, "params", best)
    teachers = [point for point in named if point.heading in ("V1", "teacher")]
    near = [point for point in named if point not in teachers]
    edge = front(frame[frame["role"] == "candidate"])
    steps: dict[str, Any] = {"color": SKY, "linewidth": 1.6, "drawstyle": "steps-post", "zorder": 1}
    axes.plot(edge["params"], 100 * edge["ap_mean"].astype(float), **steps)
    drawn = _scatter(axes, frame, "params", near)
    axes.axvline(budget, color=GREY, linewidth=1, linestyle="--", zorder=0)
    for point in teachers:
        axes.axhline(point.y, color=NETWORKS[point.heading], linewidth=1, linestyle=":", zorder=0)
    axes.margins(x=0.08, y=0.14)
    axes.autoscale_view()
    for point in teachers:
        name = "V1" if point.heading == "V1" else point.label
        _level(axes, point.y, f"{name}\n{point.x:,.0f}")
    top = (budget, axes.get_ylim()[1])
    _write(axes, f"budget {budget:,}", top, (0, 3), ha="center", fontsize=9, color=GREY)
    _name(axes, near, drawn)
    if len(edge) > 1:
        start = (float(edge["params"].iloc[0]), 100 * float(edge["ap_mean"].iloc[0]))
        _write(axes, "front", start, (0, -8), ha="center", va="top", fontsize=9, color=BLUE)
    _thousands(axes)
    axes.set_xlabel("parameters")
    axes.set_ylabel("mean AP, %")
    return figure


def parts(counts: pd.DataFrame, budget: int) -> Figure:
    """Parameters by part as stacked bars; below, the same without the backbone and teachers, at their own scale.

    Args:
        counts: one row a network, indexed by its heading (V1, V2, best …), one column a part.
        budget: parameters.
    """
    large = [heading for heading in counts.index if str(heading).startswith(("V1", "teacher"))]
    students = counts.drop(index=large).drop(columns="backbone")
    rows = [len(counts), max(len(students), 1)]
    figure = Figure(figsize=(7.2, 1.3 + 0.62 * sum(rows)), layout="constrained")
    grid = figure.subplots(1 + bool(len(students)), 1, squeeze=False, height_ratios=rows if len(students) else rows[:1])
    _stack(grid[0, 0], counts, budget, f"budget {budget:,}")
    grid[0, 0].set_title("whole network", loc="left", fontsize=10)
    if len(students):
        backbone = int(counts["backbone"].drop(index=large).max())
        _stack(grid[1, 0], students, budget - backbone, f"{budget - backbone:,} left by the backbone")
        grid[1, 0].set_title("without the backbone", loc="left", fontsize=10)
    grid[-1, 0].set_xlabel("parameters")
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in PARTS.values()]
    figure.legend(handles, list(PARTS), loc="outside upper center", ncols=len(PARTS), frameon=False, fontsize=9)
    return figure


def _stack(axes: Axes, counts: pd.DataFrame, limit: int, limit_text: str) -> None:
    plain(axes)
    width = max(float(counts.sum(axis=1).max()), float(limit)) * 1.16
    starts = pd.Series(0.0, index=counts.index)
    for part in counts.columns:
        colour, sizes = PARTS[str(part)], counts[part].astype(float)
        axes.barh(range(len(counts)), sizes, left=starts, height=0.62, color=colour, edgecolor="white", linewidth=0.5)
        ink = "white" if colour == BLUE else BLACK
        for position, (start, size) in enumerate(zip(starts, sizes, strict=True)):
            text = f"{size:,.0f}"
            if size > 0.012 * width * len(text):
                axes.text(start + size / 2, position, text, ha="center", va="center", fontsize=8, color=ink)
        starts = starts + sizes
    for position, total in enumerate(starts):
        behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # The budget's line often runs just here.
        _write(
            axes, f"{total:,.0f}", (total, position), (5, 0), va="center", fontsize=9, fontweight="bold", bbox=behind
        )
    axes.set_yticks(range(len(counts)), [str(heading) for heading in counts.index])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.axvline(limit, color=BLACK, linewidth=1, linestyle="--", zorder=0)
    axes.set_xlim(0, width)
    side = "center" if limit < 0.8 * width else "right"
    _write(axes, limit_text, (limit, axes.get_ylim()[1]), (0, 3), ha=side, fontsize=8.5, color=GREY)
    _thousands(axes)


def totals(edges: Sequence[int], counts: Sequence[int], budget: int) -> Figure:
    """Configurations by parameters, what fits the budget in colour, and the budget's line.

    Args:
        edges: parameters between which ``counts`` lie: above an edge, up to and including the next.
        counts: configurations, one fewer than ``edges``.
        budget: parameters.
    """
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = plain(figure.subplots())
    widths = [after - before for before, after in pairwise(edges)]
    colours = [SKY if after <= budget else LIGHT for after in edges[1:]]
    axes.bar(edges[:-1], counts, widths, align="edge", color=colours, edgecolor="white", linewidth=0.5)
    axes.axvline(budget, color=BLACK, linewidth=1, linestyle="--")
    axes.set_ylim(0, 1.08 * max(max(counts, default=0), 1))
    within = sum(n for after, n in zip(edges[1:], counts, strict=True) if after <= budget)
    text = f"{within:,} of {sum(counts):,} within {budget:,} parameters"
    middle = (axes.get_xlim()[0] + axes.get_xlim()[1]) / 2
    side = "left" if budget < middle else "right"
    _write(axes, text, (budget, axes.get_ylim()[1]), (5 if side == "left" else -5, 3), ha=side, fontsize=9, color=GREY)
    _thousands(axes)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlabel("parameters")
    axes.set_ylabel("configurations")
    return figure


def learning_curves(epochs: pd.DataFrame, best: str | None) -> Figure:
    """Mean AP after every epoch: students grey, those stopped early faded; V2 and the best student named.

    A teacher, which has a schedule of its own, is the level that it reached.

    Args:
        epochs: columns label, role, state, epoch, ap (mean AP in [0, 1]).
        best: label of the best student.
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = plain(figure.subplots())
    headings = {"v2": "V2", best: "best"}
    ends: list[Named] = []
    for label, rows in epochs[epochs["role"] != "teacher"].sort_values("epoch").groupby("label"):
        x, y = rows["epoch"].to_numpy(float), 100 * rows["ap"].to_numpy(float)
        heading = headings.get(str(label))
        if heading is not None:
            axes.plot(x, y, color=NETWORKS[heading], linewidth=2, marker="o", markersize=3.5, zorder=3)
            ends.append(Named(heading, str(label), x[-1], y[-1]))
        elif rows["state"].iloc[0] == "complete":
            axes.plot(x, y, color=MIDDLE, linewidth=1, zorder=2)
        else:
            axes.plot(x, y, color=LIGHT, linewidth=1, zorder=1, marker="x", markevery=[-1], markeredgecolor=MIDDLE)
    if (epochs["state"] != "complete").any():
        axes.plot([], [], color=LIGHT, marker="x", markeredgecolor=MIDDLE, linewidth=1, label="not trained to the end")
        axes.plot([], [], color=MIDDLE, linewidth=1, label="trained to the end")
        axes.legend(frameon=False, fontsize=9, loc="lower right")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.16 * (high - low))
    teacher = epochs[epochs["role"] == "teacher"].sort_values("epoch")
    axes.margins(y=0.1)
    if len(teacher):
        level, count = 100 * float(teacher["ap"].iloc[-1]), int(teacher["epoch"].iloc[-1])
        axes.axhline(level, color=BLACK, linewidth=1, linestyle=":", zorder=0)
        axes.autoscale_view(scalex=False)
        _level(axes, level, f"{str(teacher['label'].iloc[0]).upper()} after\n{count:,} epochs")
    _name_ends(axes, ends)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("mean AP, %")
    return figure


def _name_ends(axes: Axes, ends: Sequence[Named]) -> None:
    """Write each curve's name right of its end, moved down where it would touch the one above."""
    low, high = axes.get_ylim()
    free = high
    for end in sorted(ends, key=lambda end: -end.y):
        place = min(end.y, free)
        free = place - 0.055 * (high - low)
        colour = NETWORKS[end.heading]
        _write(axes, end.text, (end.x, place), (7, 0), va="center", fontsize=9.5, fontweight="bold", color=colour)
    axes.set_ylim(low, high)


def precision_recall(curves: pd.DataFrame, aps: Mapping[str, Mapping[str, float | None]]) -> Figure:
    """Precision against recall, one panel a difficulty.

    Args:
        curves: columns network (a heading of ``NETWORKS``), level, recall, precision.
        aps: network → level → AP in [0, 1], written beside its name.
    """
    figure = Figure(figsize=(9.6, 3.5), layout="constrained")
    grid = figure.subplots(1, 3, sharey=True)
    for axes, level in zip(grid, LEVELS, strict=True):
        plain(axes)
        panel = curves[curves["level"] == level]
        for position, heading in enumerate(h for h in reversed(NETWORKS) if h in aps):
            rows = panel[panel["network"] == heading]
            axes.plot(rows["recall"], rows["precision"], color=NETWORKS[heading], linewidth=1.8)
            value = aps[heading].get(level)
            text = f"{heading} {100 * value:.1f}" if value is not None else f"{heading} –"
            axes.text(0.05, 0.06 + 0.09 * position, text, color=NETWORKS[heading], fontweight="bold", fontsize=9.5)
        axes.set_title(level, loc="left", fontsize=10)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("recall")
    grid[0].set_ylabel("precision")
    return figure


def importance(shares: pd.Series) -> Figure:
    """Importance of every axis, largest on top. ``shares`` is axis → share, adding up to 1."""
    ordered = shares.sort_values()
    figure = Figure(figsize=(7.2, 0.9 + 0.3 * len(ordered)), layout="constrained")
    axes = plain(figure.subplots())
    axes.barh(range(len(ordered)), 100 * ordered.to_numpy(), height=0.62, color=BLUE)
    for position, value in enumerate(ordered):
        axes.text(100 * value, position, f" {100 * value:.0f}", va="center", fontsize=9)
    axes.set_yticks(range(len(ordered)), [str(name) for name in ordered.index])
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    axes.set_xlabel("share, %")
    return figure


def speed(frame: pd.DataFrame, best: str | None) -> Figure:
    """AP against FPS relative to V1's.

    Args:
        frame: ``tables.results``, rows with an AP and a speed.
        best: label of the best student.
    """
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = plain(figure.subplots())
    named = _networks(frame, "speed_ratio_to_v1", best)
    drawn = _scatter(axes, frame, "speed_ratio_to_v1", named)
    axes.margins(x=0.1, y=0.16)
    axes.autoscale_view()
    _name(axes, named, drawn)
    axes.set_xlabel("FPS relative to V1")
    axes.set_ylabel("mean AP, %")
    return figure


def examples(scenes: Sequence[Example], headings: Mapping[str, str], least_score: float) -> Figure:
    """Scenes in columns, networks in rows: true faces green, found faces orange.

    Args:
        scenes: synthetic scenes, BGR.
        headings: label → heading of the rows.
        least_score: found faces that score less are not drawn.
    """
    labels = [label for label in headings if any(label in scene.found for scene in scenes)]
    side = 1.75
    figure = Figure(figsize=(0.4 + side * len(scenes), 0.35 + side * len(labels)), layout="constrained")
    grid = figure.subplots(len(labels), len(scenes), squeeze=False)
    for i, label in enumerate(labels):
        for j, scene in enumerate(scenes):
            axes: Axes = grid[i, j]
            axes.imshow(scene.image[:, :, ::-1], interpolation="nearest")
            axes.set_axis_on()
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
            _boxes(axes, scene.truth, GREEN, 2.0)
            found: Any = scene.found.get(label)
            if found is not None:
                _boxes(axes, found[found[:, 4] >= least_score], ORANGE, 1.0)
        grid[i, 0].set_ylabel(headings[label], fontweight="bold", fontsize=9.5)
    handles = [Rectangle((0, 0), 1, 1, fill=False, edgecolor=c, linewidth=w) for c, w in ((GREEN, 2.0), (ORANGE, 1.0))]
    names = ["true face", f"found face, score at least {least_score}"]
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _boxes(axes: Axes, boxes: Any, colour: str, width: float) -> None:
    for x1, y1, x2, y2 in boxes[:, :4]:
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=width))
