"""Shared by all pictures: colours, markers of networks, and labels that stay readable and do not overlap.

Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/), which stay apart under the common colour blindnesses.
No pyplot: figures are built without a global state or a display.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

DPI = 150

BLACK, GREY, MIDDLE, LIGHT = "#000000", "#6b6b6b", "#8a8a8a", "#c4c4c4"
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

NETWORK = "network:"
"""Prefix of a point's group id (``gid``): what follows is the label of its network."""

GAP = 6.0
"""Points between a mark and its text."""

SHIFTS = (0, 1, -1, 2, -2, 3, -3)
"""Lines by which a label beside its point may move up (negative: down), in the order in which they are tried."""


@dataclass(frozen=True)
class Look:
    """Colour and marker of a kind of network in every picture of a report."""

    colour: str
    marker: str
    size: float = 7.0


@dataclass(frozen=True)
class Label:
    """The name of the point at (``x``, ``y``) in data coordinates."""

    text: str
    x: float
    y: float
    colour: str
    bold: bool = True


def save(figure: Figure, path: Path) -> None:
    """Write a figure; equal figures give equal bytes."""
    metadata = {".png": {"Software": None}, ".svg": {"Date": None}}.get(path.suffix)
    with rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, dpi=DPI, metadata=metadata)


def plain(axes: Axes) -> Axes:
    """Remove the upper and right side of the frame, and draw the others in grey."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(color=GREY, labelsize=9)
    return axes


def thousands(axes: Axes) -> None:
    """Write the numbers of the x axis in full."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def mark(axes: Axes, x: float, y: float, look: Look, label: str = "", **style: Any) -> None:
    """Draw one network's point; ``label`` connects it with the network's text in ``Picture.notes``."""
    face: dict[str, Any] = {"color": look.colour, "markeredgecolor": "white", "zorder": 3, **style}
    if label:
        face["gid"] = NETWORK + label
    axes.plot([x], [y], marker=look.marker, markersize=look.size, linestyle="none", **face)


def write(axes: Axes, text: str, point: tuple[float, float], offset: tuple[float, float], **style: Any) -> Annotation:
    """Write ``offset`` points from ``point`` on a white edge, so that the text stays readable over lines and points."""
    around = [withStroke(linewidth=2.5, foreground="white")]
    style = {"fontsize": 9, "textcoords": "offset points", "annotation_clip": False, "path_effects": around, **style}
    return axes.annotate(text, point, xytext=offset, **style)


def write_above(axes: Axes, text: str, x: float, side: str = "center") -> None:
    """Label a vertical line at ``x`` above the axes; ``side`` is the text's horizontal alignment."""
    offset = {"left": GAP, "right": -GAP}.get(side, 0.0)
    write(axes, text, (x, 1), (offset, 3), xycoords=axes.get_xaxis_transform(), ha=side, color=GREY)


def write_levels(axes: Axes, levels: Mapping[str, float]) -> None:
    """Label horizontal lines (text → height) to the right of the axes; two labels are aligned away from each other."""
    ordered = sorted(levels.items(), key=lambda level: level[1])
    sides = ("center",) if len(ordered) == 1 else ("top", "bottom")
    for (text, y), side in zip(ordered, sides, strict=False):
        style: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "fontsize": 9.5, "fontweight": "bold"}
        write(axes, text, (1, y), (GAP, 0), va=side, **style)


def place(
    axes: Axes,
    labels: Sequence[Label],
    points: Sequence[tuple[float, float]],
    sides: Sequence[str] = ("above", "below", "right", "left"),
) -> None:
    """Write each label beside its point where it covers as few points, other labels and edges as possible.

    The limits of the axes must be final.

    Args:
        axes: the axes.
        labels: placed from top to bottom.
        points: all points drawn in the axes, in data coordinates.
        sides: sides of a label's point, in the order in which they are tried. On the right and left, a label may also
            move up or down by whole lines; from two lines on, a thin line leads to its point.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    frame, scale = axes.get_window_extent(), figure.dpi / 72
    drawn = [axes.transData.transform(point) for point in points]
    taken: list[Bbox] = []
    for label in sorted(labels, key=lambda label: -label.y):
        style: dict[str, Any] = {"fontsize": 9.5, "fontweight": "bold"} if label.bold else {}
        leader = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "shrinkB": GAP}
        point = (label.x, label.y)
        style |= {"color": label.colour, "zorder": 4, "va": "bottom", "arrowprops": leader}
        text = write(axes, label.text, point, (0, 0), **style)
        # The label lies within the axes, and the layout must not change once places are chosen.
        text.set_in_layout(False)
        size = Text.get_window_extent(text)
        x, y = axes.transData.transform(point)
        choices = [
            (_clutter(box, drawn, taken, frame), abs(shift), rank, box)
            for rank, (side, shift) in enumerate(_places(sides))
            for box in [Bbox.from_bounds(*_corner(side, shift, x, y, size, GAP * scale), size.width, size.height)]
        ]
        _, shift, _, box = min(choices, key=lambda choice: choice[:3])
        taken.append(box)
        text.set_position(((box.x0 - x) / scale, (box.y0 - y) / scale))
        if text.arrow_patch is not None:
            text.arrow_patch.set_visible(shift > 1)


def place_right(axes: Axes, labels: Sequence[Label]) -> None:
    """Write the names of points at one x to their right, below each other, with a line to each point.

    The limits of the axes must be final.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    frame, scale = axes.get_window_extent(), figure.dpi / 72
    texts, line = [], 0.0
    for label in sorted(labels, key=lambda label: -label.y):
        style: dict[str, Any] = {"fontsize": 9.5, "fontweight": "bold"} if label.bold else {}
        leader = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": GAP}
        leader |= {"relpos": (0, 0.5)}
        style |= {"color": label.colour, "zorder": 4, "va": "center", "arrowprops": leader}
        text = write(axes, label.text, (label.x, label.y), (3 * GAP, 0), **style)
        text.set_in_layout(False)
        line = max(line, Text.get_window_extent(text).height)
        texts.append(text)
    wanted = [axes.transData.transform(text.xy)[1] for text in texts]
    top = frame.y1
    heights = []
    for n, y in enumerate(wanted):
        # At most as high as the name above allows, and high enough for the names below to end in the axes.
        heights.append(max(min(y, top - line / 2), frame.y0 + (len(wanted) - n - 0.5) * line))
        top = heights[-1] - line / 2
    for text, y, height in zip(texts, wanted, heights, strict=True):
        text.set_position((3 * GAP, (height - y) / scale))


def _places(sides: Sequence[str]) -> Iterator[tuple[str, int]]:
    for side in sides:
        yield from ((side, shift) for shift in (SHIFTS if side in ("right", "left") else (0,)))


def _corner(side: str, shift: int, x: float, y: float, size: Bbox, gap: float) -> tuple[float, float]:
    """Return the lower left corner, in pixels, of a text of this size beside the point."""
    across = {"right": gap, "left": -gap - size.width}.get(side, -size.width / 2)
    up = {"above": gap, "below": -gap - size.height}.get(side, (shift - 0.5) * size.height)
    return x + across, y + up


def _clutter(box: Bbox, points: Sequence[Any], taken: Sequence[Bbox], frame: Bbox) -> int:
    """Return a penalty for the points, the other texts and the edge of the axes that a text in ``box`` would cover."""
    around, (x, y) = box.padded(4), np.asarray(points, float).reshape(-1, 2).T
    covered = np.count_nonzero((around.x0 <= x) & (x <= around.x1) & (around.y0 <= y) & (y <= around.y1))
    crossed = sum(box.overlaps(other) for other in taken)
    outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    return int(covered + 3 * crossed + 5 * outside)
