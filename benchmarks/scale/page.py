"""The section on scale in ``benchmarks/README.md``, and its picture."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.scale.summary import COST_AIM, GROWING, PATIENCE, REPORT_AIM
from harness.reporting import style

COLOURS = (style.BLUE, style.VERMILLION, style.GREEN, style.ORANGE, style.PURPLE, style.SKY, style.GREY)


def section(found: Mapping[str, Any]) -> list[str]:
    """Return the lines of the section: cost by number of trials, exponents, and cost by number of workers."""
    lines = ["| trials | storage | ms a trial | of it | resumes in | report | memory |"]
    lines += ["| ---: | :--- | ---: | :--- | ---: | ---: | ---: |"]
    for row in found["sizes"]:
        parts = sorted(row["cost_ms"].items(), key=lambda part: -part[1])[:4]
        cells = [f"{row['trials']:,}", row["store"], f"{row['total_ms']:,.0f}"]
        cells += [", ".join(f"{name} {ms:.0f}" for name, ms in parts), f"{row['resume']:.1f} s"]
        cells += ["–" if row["report"] is None else f"{row['report']:.1f} s", f"{row['memory']:,.0f} MiB"]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Aims: at most {COST_AIM:.0f} ms a trial, and a report of 1,000 trials in {REPORT_AIM:.0f} s.", ""]
    lines += ["| grows with the trials as | exponent | 95 % interval |", "| :--- | ---: | ---: |"]
    for store, exponents in found["summary"]["exponents"].items():
        for what, one in exponents.items():
            if what in GROWING and one["exponent"] is not None:
                interval = f"{one['low']:.2f} – {one['high']:.2f}"
                lines.append(f"| {what}, {store} | {one['exponent']:.2f} | {interval} |")
    superlinear = found["summary"]["superlinear"]
    lines += ["", f"Superlinear beyond the interval: {', '.join(superlinear) or 'nothing'}.", ""]
    lines += ["| workers | trials | trials a second | workers wait | searching thread | MLflow's thread |"]
    lines += ["| ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row in found["workers"]:
        shares = [f"{100 * row[name]:.1f} %" for name in ("kept_waiting", "search_busy", "sender_busy")]
        cells = [f"{row['workers']:,}", f"{row['trials']:,}", f"{row['trials_a_second']:.1f}", *shares]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", saturated(found), ""]


def saturated(found: Mapping[str, Any]) -> str:
    """Return what saturates first in one sentence or two."""
    one, last = found["summary"]["saturation"], found["workers"][-1]
    seconds = last["seconds"]
    most = f"The searching process proposes and tells at most {one['trials_a_second']:.1f} trials a second."
    if one["workers"] is None:
        return f"{most} {last['workers']:,} workers with trainings of {seconds:.0f} s saturate nothing."
    return (
        f"{most} With trainings of {seconds:.0f} s, {one['workers']:,} workers are the first that wait for it more "
        f"than {100 * PATIENCE:.0f} % of their time: {one['first']} saturates first, mostly by '{one['largest']}'."
    )


def picture(found: Mapping[str, Any]) -> Figure:
    """Return the cost of a trial by number of trials, and the time that workers wait by their number."""
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    last = found["sizes"][-1]["store"]
    rows = [row for row in found["sizes"] if row["store"] == last]
    trials = [row["trials"] for row in rows]
    parts = sorted(rows[-1]["cost_ms"], key=lambda name: -rows[-1]["cost_ms"][name])[: len(COLOURS) - 1]
    for name, colour in zip(parts, COLOURS, strict=False):
        _line(left, trials, [row["cost_ms"].get(name, 0.0) for row in rows], colour, name)
    _line(left, trials, [row["total_ms"] for row in rows], style.BLACK, "all")
    left.set(xscale="log", yscale="log", xlabel="trials", ylabel=f"ms a trial, {last}")
    workers = [row["workers"] for row in found["workers"]]
    for key, colour, label in (
        ("kept_waiting", style.VERMILLION, "workers wait for the harness"),
        ("search_busy", style.BLUE, "searching thread is busy"),
        ("sender_busy", style.GREEN, "MLflow's thread is busy"),
    ):
        _line(right, workers, [100 * row[key] for row in found["workers"]], colour, label)
    right.set(xscale="log", ylim=(0, 100), xlabel="workers", ylabel="% of the time")
    for axes in (left, right):
        style.plain(axes)
        axes.legend(frameon=False, fontsize=8)
    return figure


def _line(axes: Axes, x: list[float], y: list[float], colour: str, label: str) -> None:
    axes.plot(x, y, color=colour, marker="o", markersize=4, linewidth=1.4, label=label)
