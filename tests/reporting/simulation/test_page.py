"""The report of replayed searches: its files, its numbers, and labels that stay apart."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from harness.core.protocol import SAMPLERS
from harness.core.replay import REPLAYED
from harness.errors import InputError
from harness.reporting.simulation import check_simulation, summary, write_simulation
from harness.reporting.simulation.findings import findings, headline, remarks
from harness.reporting.simulation.pictures import pictures_of
from harness.reporting.simulation.tables import searches
from tests.fake_simulation import simulation

pytestmark = pytest.mark.slow

PLAIN: list[Sequence[float | None]] = [[None, 0.4, None, 0.4, 0.6, 0.5], [0.3, None, None, 0.5, None, 0.6]]
OURS: list[Sequence[float | None]] = [[0.5, 0.6, 0.65, 0.3, 0.4, 0.2], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]]
FOUND = simulation({name: [*OURS] if name.startswith("feasible-") else [*PLAIN] for name in REPLAYED})
COMMAND = "python -m harness.simulate --trials 6"


def test_the_report_and_its_files(tmp_path: Path) -> None:
    path = write_simulation(FOUND, tmp_path / "report", COMMAND, "Invented.")
    text = path.read_text(encoding="utf-8")
    assert "**Invented.**" in text
    assert text.rstrip("`\n").endswith(f"python -m benchmarks.tabular\n{COMMAND}")
    for name in re.findall(r"\]\(([^)#]+)\)", text):
        assert (path.parent / name).stat().st_size > 0
    assert {file.name for file in path.parent.iterdir()} == {
        "report.md",
        "report.html",
        "results.csv",
        "summary.json",
        "by_trial.png",
        "by_epochs.png",
    }
    assert headline(FOUND) in text
    assert all(f"- {sentence}" in text for sentence in findings(FOUND))


def test_equal_simulations_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_simulation(FOUND, tmp_path / name, COMMAND)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_the_summary_has_the_curve_and_the_shares_of_every_sampler() -> None:
    found = summary(FOUND)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["samplers"]) == list(REPLAYED)
    tpe = found["samplers"]["tpe"]
    assert tpe["median_best_by_trial"] == [None, 0.35, 0.35, 0.45, 0.55, 0.6]
    assert tpe["wasted_share"] == pytest.approx(5 / 12)
    assert tpe["repeated_share"] == pytest.approx(1 / 12)
    assert tpe["regret"] == pytest.approx(0.1)
    assert tpe["trials_to_plain"] == 6
    assert found["claim"]["samplers"]["feasible-tpe"]["trials"] == 2
    assert set(found["claim"]["samplers"]) == {name for name in REPLAYED if name.startswith("feasible-")}


def test_the_csv_has_a_row_for_every_trial(tmp_path: Path) -> None:
    path = write_simulation(FOUND, tmp_path / "report", COMMAND)
    with (path.parent / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * len(REPLAYED)
    last = next(row for row in rows if row["sampler"] == "tpe" and row["trial"] == "6")
    assert (last["median"], last["epochs"], last["seeds"]) == ("0.6", "14.0", "2")
    assert next(row for row in rows if row["sampler"] == "tpe")["median"] == ""


def test_the_table_says_what_was_not_reached() -> None:
    found = simulation({"tpe": [[0.1, 0.5]], "feasible-random": [[0.1, 0.2]], "random": [[None, None]]})
    rows = searches(found).set_index("search")
    assert rows["trials to tpe's best"].tolist() == ["2", "> 2", "> 2"]
    assert rows.loc["random", "AP after 2 trials, %"] == "– [–, –]"
    assert rows.loc["feasible-random", "regret, points"] == "50.0"


def test_limits_are_said_first() -> None:
    assert remarks(FOUND) == []
    table = FOUND.table | {"complete": False, "trainings": 57}
    fewer = {"tpe": FOUND.replays["tpe"], "gp": FOUND.replays["gp"][:1]}
    said = remarks(replace(FOUND, table=table, replays=fewer))
    assert said[0] == "The table is incomplete: 57 of 80 trainings."
    assert said[1] == "Fewer seeds than 2, because the Gaussian process takes long: `gp` 1."


def test_the_claim_is_told_with_its_verdict() -> None:
    found = simulation({"tpe": [[0.1, 0.2, 0.3, 0.4]] * 3, "feasible-tpe": [[0.4, 0.3, 0.2, 0.1]] * 3})
    said = findings(found)
    assert "ends at 40.0 %, which it first reaches after 4 trials of 4" in said[0]
    assert (
        said[1]
        == "`feasible-tpe`: after 1 trial, 0.25 of these (95 % interval over searches: 0.25 to 0.25). The claim holds."
    )
    assert "`feasible-tpe` ends above `tpe` with 0, and below it with 0 of 3 seeds." in said
    assert findings(simulation({"random": [[None]]}))[0] == "`random` wastes 100.0 % of its trials and repeats 0.0 %."


def test_nothing_in_a_picture_covers_its_legend() -> None:
    for picture in pictures_of(FOUND):
        figure = picture.figure
        assert isinstance(figure, Figure)
        figure.draw_without_rendering()
        (legend,) = figure.legends
        boxes = [axes.get_tightbbox() for axes in figure.axes] + [legend.get_window_extent()]
        assert all(box is not None for box in boxes)
        assert not any(one.overlaps(other) for one, other in combinations([box for box in boxes if box], 2))
        assert len(figure.axes) == len(SAMPLERS)


def test_only_a_simulation_is_replaced(tmp_path: Path) -> None:
    write_simulation(FOUND, tmp_path / "report", COMMAND)
    check_simulation(tmp_path / "report")
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="is no simulation"):
        check_simulation(tmp_path / "other")
