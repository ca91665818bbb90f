"""The report of a study with several objectives."""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.core.manifest import Manifest
from harness.core.record import TrialRecord
from harness.evaluation.fronts import hypervolume
from harness.reporting import build_report, summary
from harness.reporting.study import plots, tables
from harness.reporting.study.data import StudyData, load
from harness.reporting.study.findings import findings, headline
from harness.reporting.study.fronts import front, reference_text
from harness.reporting.study.method import method
from harness.reporting.study.pictures import pictures
from harness.reporting.study.replay import Replayed, replayed
from tests.reporting.fake_study import write_study

TWO, THREE = ("ap", "params"), ("ap", "params", "latency")


def several(runs: Path, *objectives: str, trials: int = 12, pruner: str = "none") -> Path:
    """Write a study with these objectives; predicted latencies are 10 % below the measured ones."""
    folder = write_study(runs, trials=trials)
    manifest = Manifest.load(folder)
    config = replace(manifest.config, objectives=objectives, pruner=pruner)
    identity = {"latencies": "1a7e0c1e0000"} if "latency" in objectives else {}
    replace(manifest, config=config, identity=identity).save(folder)
    for path in (folder / "trials").iterdir():
        record = TrialRecord.load(path)
        if "latency" in objectives:
            known = record.speed["ratio_to_v1"] if record.speed else 1.5
            record.latency = 1.0 if record.label == "v1" else 0.9 / known
        record.save(path)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return load(several(tmp_path_factory.mktemp("two"), *TWO))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return load(several(tmp_path_factory.mktemp("three"), *THREE))


def values(record: TrialRecord, data: StudyData) -> tuple[float, ...]:
    """Return the objectives, minimised: by hand, as shares of the reference."""
    found = {
        "ap": 1 - (record.search_ap["mean"] or 0),
        "params": record.params / 256_148,
        "latency": record.latency or 0,
    }
    return tuple(found[name] for name in data.study.config.objectives)


@pytest.mark.parametrize("name", ["two", "three"])
def test_the_front_is_what_no_other_student_dominates(name: str, request: pytest.FixtureRequest) -> None:
    data: StudyData = request.getfixturevalue(name)
    found = front(data)
    assert found is not None
    rows = {record.label: values(record, data) for record in data.ranked}
    wanted = [
        label
        for label, row in rows.items()
        if not any(all(a <= b for a, b in zip(other, row, strict=True)) and other != row for other in rows.values())
    ]
    assert [record.label for record in found.members] == wanted
    assert 1 < len(wanted) < found.students == len(rows)


@pytest.mark.parametrize("name", ["two", "three"])
def test_the_hypervolume_after_each_trial_is_that_of_all_students_so_far(
    name: str, request: pytest.FixtureRequest
) -> None:
    data: StudyData = request.getfixturevalue(name)
    found, rows, wanted = front(data), list[tuple[float, ...]](), []
    for record in data.candidates():
        rows += [values(record, data)] if record.state == "complete" else []
        points = np.array(rows).reshape(-1, len(data.study.config.objectives))
        wanted.append(hypervolume(points, np.ones(points.shape[1])))
    assert found is not None
    assert found.volumes == pytest.approx(wanted)
    assert len(found.volumes) == 12
    assert found.volume == max(found.volumes) > 0


def test_the_knee_is_named_in_the_table_the_pictures_and_the_summary(three: StudyData) -> None:
    found = front(three)
    assert found is not None
    assert found.knee is not None
    table = tables.front_members(three)
    assert list(table["trial"]) == [f"{r.label}, the knee" if r is found.knee else r.label for r in found.members]
    row = table.iloc[found.members.index(found.knee)]
    assert row["latency / V1, predicted"] == f"{found.knee.latency:.3f}"
    assert row["latency / V1, measured"] == f"{1 / found.knee.speed['ratio_to_v1']:.3f}"
    drawn = {picture.name: picture for picture in pictures(three, tables.results(three))}
    for name in ("pareto", "speed"):
        figure = drawn[name].figure
        assert figure is not None
        figure.savefig(io.BytesIO(), dpi=50)
        (axes,) = figure.axes
        ringed = [line for line in axes.lines if line.get_markeredgecolor() == plots.RING.colour]
        assert len(ringed) == len(found.members)
        assert f"knee ({found.knee.label})" in [text.get_text() for text in axes.texts]
        assert "Ringed: the Pareto front of ap, params, latency." in drawn[name].text
    assert summary(three.folder)["front"] == {
        "members": [record.label for record in found.members],
        "knee": found.knee.label,
        "hypervolume": found.volume,
    }


def test_the_hypervolume_is_drawn_over_the_trials_with_its_reference(three: StudyData, two: StudyData) -> None:
    found = front(three)
    (picture,) = (p for p in pictures(three, tables.results(three)) if p.name == "hypervolume")
    assert found is not None
    assert picture.figure is not None
    (line,) = picture.figure.axes[0].lines
    assert list(np.asarray(line.get_xdata())) == list(range(1, 13))
    assert list(np.asarray(line.get_ydata())) == found.volumes
    assert f"{found.volume:.4f} after the last one" in picture.text
    assert "Reference point: search AP 0 %, 256,148 parameters, 1 × V1's latency." in picture.text
    assert reference_text(two) == "search AP 0 %, 256,148 parameters"
    budget = replace(three.study.config.budget, max_latency_ratio=0.8)
    narrow = replace(three, study=replace(three.study, config=replace(three.study.config, budget=budget)))
    assert reference_text(narrow) == "search AP 0 %, 256,148 parameters, 0.8 × V1's latency"
    assert "within the budget of 256,148 parameters and 0.8 × V1's latency" in headline(narrow)
    assert "Budget: 256,148 parameters and 0.8 × V1's latency." in " ".join(method(narrow))
    lower = front(narrow)
    assert lower is not None
    assert lower.volume < found.volume


def test_speeds_are_drawn_as_predicted_for_all_students(three: StudyData, two: StudyData) -> None:
    unmeasured = [replace(r, speed={}) if r.role == "candidate" else r for r in three.records]
    data = replace(three, records=unmeasured)
    (picture,) = (p for p in pictures(data, tables.results(data)) if p.name == "speed")
    assert picture.figure is not None
    assert picture.figure.axes[0].get_xlabel() == "Predicted FPS relative to V1"
    drawn = {round(float(x), 6) for line in picture.figure.axes[0].lines for x in np.asarray(line.get_xdata(), float)}
    assert {round(1 / (r.latency or 1), 6) for r in three.ranked} <= drawn
    assert "latency / V1, predicted" in tables.trials(data)
    assert "latency / V1, predicted" not in tables.trials(two)


def test_predicted_and_measured_latencies_are_compared(three: StudyData, two: StudyData) -> None:
    (said,) = [sentence for sentence in findings(three) if "Predicted latencies" in sentence]
    assert "of the 10 networks that were measured" in said
    assert "by 10.0 % in the median and by at most 10.0 %" in said
    assert not [sentence for sentence in findings(two) if "Predicted latencies" in sentence]
    notes = " ".join(method(three))
    assert "table `1a7e0c1e0000`" in notes
    assert "Hypervolume: " in notes
    assert "Knee: " in notes
    assert "Predicted latency" not in " ".join(method(two))


def test_what_early_stopping_would_have_done_is_replayed(two: StudyData) -> None:
    """Ten students of full size set the pace; of the next, every second one is far behind."""
    base = next(r for r in two.records if r.role == "candidate" and r.state == "complete")

    def student(number: int, *curve: float, params: int = 250_000) -> TrialRecord:
        epochs = [{**base.epochs[0], "epoch": n, "ap": {"mean": ap}} for n, ap in enumerate(curve, start=1)]
        ap: dict[str, float | None] = {"mean": curve[-1]}
        return replace(base, label=f"{number:04d}", number=number, params=params, epochs=epochs, search_ap=ap)

    first = [student(n, 0.3, 0.4, 0.5, 0.5 + n / 1_000) for n in range(14)]
    later = [student(14 + n, *((0.05, 0.1, 0.2, 0.8) if n % 2 else (0.3, 0.4, 0.5, 0.5))) for n in range(4)]
    data = replace(two, records=[*first, *later])
    found = front(data)
    assert found is not None
    assert [r.label for r in found.members] == ["0015", "0017"]
    # Of 0015 and 0017, 0.05 and at most 0.213 more are expected after the first epoch: both end there.
    result = replayed(data)
    assert result is not None
    assert result.lost == pytest.approx(1 - 0.513 / 0.8)
    assert replace(result, lost=0.0) == Replayed(2, 18, 6, 72, 0.0)
    (sentence,) = [said for said in findings(data) if "--pruner dominated" in said]
    assert "2 of these 18 trials would have been stopped early, which saves 6 of 72 epochs" in sentence
    assert f"loses {100 * (1 - 0.513 / 0.8):.2f} % of the hypervolume" in sentence
    config = replace(data.study.config, pruner="dominated")
    assert replayed(replace(data, study=replace(data.study, config=config))) is None
    assert replayed(replace(data, records=data.records[1:])) is None, "a record is missing"


@pytest.mark.slow
def test_the_page_has_the_front(tmp_path: Path) -> None:
    path = build_report(several(tmp_path, *THREE))
    text = path.read_text(encoding="utf-8")
    assert (path.parent / "hypervolume.png").exists()
    section = text[text.index("## Pareto front") : text.index("## Pictures")]
    assert re.search(r"\| \d{4}, the knee \|", section)
    assert "Its knee is trial" in text
    assert "\n\n\n" not in text


@pytest.mark.slow
def test_without_a_student_there_is_a_sentence(tmp_path: Path) -> None:
    folder = several(tmp_path, *THREE, trials=0)
    text = build_report(folder).read_text(encoding="utf-8")
    assert "### Hypervolume over the trials\n\nNo student has a search AP yet." in text
    assert summary(folder)["front"] is None
