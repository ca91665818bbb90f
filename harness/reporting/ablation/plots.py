"""The pictures of an ablation: a data frame in, a matplotlib ``Figure`` out."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from harness.reporting import style
from harness.reporting.format import minus

LOOK = style.Look(style.BLUE, "o")


def waterfall(steps: pd.DataFrame, seeds: pd.DataFrame) -> Figure:
    """Parameters from V1 to V2, one exchange after the other, and beside them the AP after each exchange.

    Args:
        steps: columns name, before, after (parameters; ``before`` is 0 in the first and the last row, which are whole
            networks), and ap, low, high in %, NaN where a network was not trained.
        seeds: columns name, ap in %: one row per training.
    """
    rows = {name: at for at, name in enumerate(steps["name"])}
    with_ap = bool(steps["ap"].notna().any())
    figure = Figure(figsize=(10.0 if with_ap else 6.5, 1.4 + 0.42 * len(steps)), layout="constrained")
    panels = figure.subplots(1, 1 + with_ap, sharey=True, squeeze=False, width_ratios=[1.6, 1.0][: 1 + with_ap])[0]
    bars = style.plain(panels[0])
    for row in steps.to_dict("records"):
        at, change = rows[row["name"]], row["after"] - row["before"]
        colour = style.GREY if not row["before"] else style.GREEN if change < 0 else style.VERMILLION
        bars.barh(at, change, left=row["before"], color=colour, height=0.6, zorder=2)
        text = f"{row['after']:,}" if not row["before"] else minus(f"{change:+,}")
        style.write(bars, text, (max(row["before"], row["after"]), at), (style.GAP, 0), va="center")
    for at, after in enumerate(steps["after"][:-1]):
        bars.plot([after, after], [at, at + 1], color=style.MIDDLE, linewidth=0.8, zorder=1)
    bars.set_xlim(0, 1.22 * steps["after"].max())
    style.thousands(bars)
    bars.set_xlabel("parameters")
    bars.set_yticks(range(len(steps)), list(steps["name"]))
    bars.set_ylim(len(steps) - 0.4, -0.6)
    bars.tick_params(axis="y", length=0)
    handles: list[Patch | Line2D] = [
        Patch(color=colour, label=label)
        for colour, label in ((style.GREY, "network"), (style.GREEN, "saved"), (style.VERMILLION, "added"))
    ]
    if with_ap:
        axes = style.plain(panels[1])
        axes.grid(axis="x", color=style.LIGHT, linewidth=0.5)
        for row in steps[steps["ap"].notna()].to_dict("records"):
            ends = [row["low"], row["high"]]
            at = rows[row["name"]]
            axes.plot(ends, [at, at], color=LOOK.colour, linewidth=2, solid_capstyle="butt", zorder=2)
            style.mark(axes, row["ap"], at, LOOK)
        below = [rows[name] + 0.28 for name in seeds["name"]]
        axes.scatter(seeds["ap"], below, s=11, color=style.GREY, edgecolor="none", zorder=4)
        axes.set_xlabel("mean AP, %")
        axes.tick_params(axis="y", length=0)
        handles += [
            Line2D([], [], color=LOOK.colour, marker=LOOK.marker, linewidth=2, label="95 % over images"),
            Line2D([], [], color=style.GREY, marker=".", linestyle="none", label="one seed"),
        ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return figure
