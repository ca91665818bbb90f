"""Learning curve of one network: its losses and its search AP by epoch."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from harness.core.record import TrialRecord
from harness.reporting import style
from harness.reporting.format import percent
from harness.reporting.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION

_TERMS = {
    "box": BLUE,
    "class": VERMILLION,
    "landmark": GREEN,
    "distill_class": ORANGE,
    "distill_box": SKY,
    "distill_landmark": PURPLE,
    "feature": GREY,
}
_LEVELS = {"easy": BLUE, "medium": GREEN, "hard": VERMILLION, "mean": BLACK}


def training(record: TrialRecord) -> Figure:
    """Draw every loss term, and the AP on the search split where it was read, after each epoch of a record.

    The best epoch by mean AP is marked; the final AP on the validation images, if there is one, is in the title.
    """
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = (style.plain(axes) for axes in figure.subplots(1, 2))
    epochs = [info["epoch"] for info in record.epochs]
    evaluated = [info for info in record.epochs if info["ap"].get("mean") is not None]
    for term in (name for name in _TERMS if name in record.epochs[0]["losses"]):
        values = [info["losses"][term] for info in record.epochs]
        left.plot(epochs, values, color=_TERMS[term], linewidth=1.8, marker="o", markersize=3, label=term)
    left.set(ylabel="loss, before its weight", yscale="log")

    for level, colour in _LEVELS.items():
        values = [100 * info["ap"][level] for info in evaluated]
        width = 2.4 if level == "mean" else 1.4
        right.plot(
            [info["epoch"] for info in evaluated],
            values,
            color=colour,
            linewidth=width,
            marker="o",
            markersize=3,
            label=level,
        )
    means = {info["epoch"]: info["ap"]["mean"] for info in evaluated}
    if means:
        best = max(means, key=lambda epoch: means[epoch])
        right.axvline(best, color=style.GREY, linewidth=1, linestyle=":")
        style.write_above(right, f"best mean: epoch {best}", best)
    right.set(ylabel="search AP, %")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=4)
        axes.set_xlim(0.5, max(epochs) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    final = ", ".join(f"{level} {percent(ap)}" for level, ap in record.ap.items() if ap is not None)
    title = f"{record.label}, {record.params:,} parameters"
    figure.suptitle(f"{title}: validation AP {final}" if final else title, x=0.01, ha="left", fontsize=10.5)
    return figure
