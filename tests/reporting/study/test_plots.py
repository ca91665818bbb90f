"""The content of the pictures; their appearance is not tested."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from harness.reporting.parts import part_counts
from harness.reporting.study import plots, tables
from harness.reporting.study.data import StudyData, load
from tests.reporting.fake_study import write_study

HEADINGS = {"v1": "V1", "v2": "V2", "0010": "best (0010)"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return load(write_study(tmp_path_factory.mktemp("runs")))


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


def _drawn(figure: Figure) -> None:
    figure.savefig(io.BytesIO(), dpi=50)


def test_the_pareto_plot_names_v1_v2_best_and_the_budget(data: StudyData) -> None:
    frame = tables.results(data)
    figure = plots.pareto(frame[frame["search_ap_mean"].notna()], 256_148, HEADINGS)
    _drawn(figure)
    texts = _texts(figure)
    for words in ("V1\n487,103", "V2", "best (0010)", "budget 256,148", "front", "mean search AP, %"):
        assert words in texts


def test_students_are_drawn_at_their_search_ap(data: StudyData) -> None:
    frame = tables.results(data)
    for figure in (
        plots.pareto(frame[frame["search_ap_mean"].notna()], 256_148, HEADINGS),
        plots.speed(frame, HEADINGS),
    ):
        (axes,) = figure.axes
        marked = [line for line in axes.lines if line.get_marker() in ("o", "D")]
        drawn = {round(float(y), 3) for line in marked for y in np.asarray(line.get_ydata(), dtype=float)}
        wanted = [*data.ranked, *(r for r in data.records if r.label == "v2")]
        assert {round(100 * (r.search_ap["mean"] or 0), 3) for r in wanted} <= drawn


def test_other_seeds_of_named_networks_are_hollow(tmp_path: Path) -> None:
    data = load(write_study(tmp_path, seeds=3))
    frame = tables.results(data)
    figure = plots.pareto(frame[frame["search_ap_mean"].notna()], 256_148, HEADINGS)
    (axes,) = figure.axes
    hollow = [
        (float(np.asarray(line.get_xdata(), dtype=float)[0]), round(float(np.asarray(line.get_ydata(), float)[0]), 3))
        for line in axes.lines
        if line.get_markerfacecolor() == "none"
    ]
    repeats = [r for r in data.records if r.repeat_of in HEADINGS and r.search_ap]
    assert len(repeats) == 4
    assert sorted(hollow) == sorted((float(r.params), round(100 * (r.search_ap["mean"] or 0), 3)) for r in repeats)


def test_the_front_holds_no_student_that_a_smaller_one_matches(data: StudyData) -> None:
    frame = tables.results(data)
    students = frame[(frame["role"] == "candidate") & frame["search_ap_mean"].notna()]
    front = plots.front(students)
    assert front["search_ap_mean"].is_monotonic_increasing
    for row in students.itertuples():
        better = students[(students["params"] <= row.params) & (students["search_ap_mean"] > row.search_ap_mean)]
        assert (row.label in set(front["label"])) == better.empty


def test_one_student_alone_can_be_drawn(tmp_path: Path) -> None:
    frame = tables.results(load(write_study(tmp_path, trials=1, references=False)))
    _drawn(plots.pareto(frame, 256_148, {"0000": "best (0000)"}))
    _drawn(plots.speed(frame, {"0000": "best (0000)"}))


def test_bars_add_up_to_the_totals(data: StudyData) -> None:
    counts = pd.DataFrame([part_counts(r.parts) for r in data.shown().values()], index=["V1", "V2", "best (0010)"])
    figure = plots.parts(counts, 256_148)
    _drawn(figure)
    texts = _texts(figure)
    for words in ("487,103", "256,156", "250,435", "43,084", "budget 256,148", "43,076 left by the backbone"):
        assert words in texts


def test_backbones_of_several_sizes_leave_no_common_rest(data: StudyData) -> None:
    counts = pd.DataFrame([part_counts(r.parts) for r in data.shown().values()], index=["V1", "V2", "best (0010)"])
    counts["backbone"] = [213_072, 213_072, 150_000]
    figure = plots.parts(counts, 256_148)
    _drawn(figure)
    assert len(figure.axes) == 1


def test_v1_alone_has_no_second_panel(data: StudyData) -> None:
    v1 = data.named("v1")
    assert v1 is not None
    figure = plots.parts(pd.DataFrame([part_counts(v1.parts)], index=["V1"]), 256_148)
    _drawn(figure)
    assert len(figure.axes) == 1


def test_learning_curves_show_every_trial_and_mark_the_pruned(data: StudyData) -> None:
    rows = [
        {"label": r.label, "role": r.role, "state": r.state, "epoch": e["epoch"], "ap": e["ap"]["mean"]}
        for r in data.records
        for e in r.epochs
    ]
    figure = plots.learning_curves(pd.DataFrame(rows), HEADINGS)
    _drawn(figure)
    for words in ("best (0010)", "V2", "V1 after\n12 epochs", "not trained to the end"):
        assert words in _texts(figure)


def test_networks_keep_one_colour_in_every_picture() -> None:
    colours = [look.colour for look in (*plots.LOOKS.values(), plots.STUDENT)]
    assert len(set(colours)) == len(colours)
    assert len(set(plots.PART_COLOURS.values())) == len(plots.PART_COLOURS)
