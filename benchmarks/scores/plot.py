"""The picture of scores: a data frame in, a matplotlib ``Figure`` out."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from benchmarks.scores.catalogue import COUNTED, SHARED, SHORTER, UNTRAINED
from harness.reporting import style
from harness.reporting.style import Label, Look

LOOKS = {
    COUNTED: Look(style.GREY, "s"),
    UNTRAINED: Look(style.ORANGE, "v"),
    SHARED: Look(style.GREEN, "D"),
    SHORTER: Look(style.BLUE, "o"),
}


FLOOR = 0.1
"""Share of a full training, in %, at which cheaper scores are drawn: otherwise counts would take half of the axis."""


def taus(frame: pd.DataFrame, ceiling: float | None) -> Figure:
    """Kendall's τ with its interval against the cost per candidate, one labelled point per score.

    Args:
        frame: columns title, kind (a key of ``LOOKS``), share, spread (the share with what is computed once spread over
            the candidates; equal to ``share`` where there is nothing), tau, low, high; shares in %.
        ceiling: τ between two full trainings; None if it is not known.
    """
    figure = Figure(figsize=(9.6, 5.4), layout="constrained")
    axes = style.plain(figure.subplots())
    axes.set_xscale("log")
    axes.axhline(0, color=style.BLACK, linewidth=0.9)
    axes.grid(axis="y", color=style.LIGHT, linewidth=0.5)
    labels, drawn, free = [], [], 0
    for row in frame.to_dict("records"):
        look, x, y = LOOKS[row["kind"]], row["share"], row["tau"]
        if x < FLOOR:
            x, free = FLOOR * 1.1**free, free + 1
        axes.plot([x, x], [row["low"], row["high"]], color=look.colour, linewidth=1.2, alpha=0.55, zorder=1)
        if row["spread"] > x:
            axes.plot([x, row["spread"]], [y, y], color=look.colour, linewidth=0.8, linestyle=":", zorder=1)
            style.mark(axes, row["spread"], y, look, color="white", markeredgecolor=look.colour)
            drawn.append((row["spread"], y))
        style.mark(axes, x, y, look)
        drawn += [(x, y), (x, row["low"]), (x, row["high"])]
        labels.append(Label(row["title"], x, y, look.colour, bold=False))
    axes.set_xlabel("cost per candidate, % of a full training")
    axes.set_ylabel("Kendall's τ with the full schedule")
    axes.set_xlim(0.6 * FLOOR, 150)
    axes.xaxis.set_major_locator(LogLocator(base=10))
    axes.xaxis.set_major_formatter(lambda value, _: f"≤ {value:g}" if value == FLOOR else f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    if ceiling is not None:
        axes.axhline(ceiling, color=style.BLACK, linewidth=0.9, linestyle="--", zorder=0)
        style.write_levels(axes, {"two full\ntrainings": ceiling})
    handles = [_handle(kind) for kind in LOOKS if kind in set(frame["kind"])]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    style.place(axes, labels, drawn, sides=("right", "left", "above", "below"))
    return figure


def _handle(kind: str) -> Line2D:
    look = LOOKS[kind]
    face = {"color": look.colour, "markeredgecolor": "white", "markersize": look.size}
    return Line2D([], [], marker=look.marker, linestyle="none", label=kind, **face)  # type: ignore[arg-type]
