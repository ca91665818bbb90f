"""What early stopping saves and loses, against numbers that were computed by hand, and on planted tables."""

import csv
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from harness.core.arch import ARCHS
from harness.core.replay import FEASIBLE, NEW, WASTED, Replay, Simulation, Step
from harness.core.space import Choice, Configuration, IntRange, SearchSpace
from harness.counting import SpaceCounts
from harness.evaluation.stats import Interval
from harness.reporting.simulation import summary, write_simulation
from harness.reporting.simulation.page import contents_of
from harness.reporting.simulation.stopping.measures import FAILS, HOLDS, OPEN, Mean, Stopped, measured, stopped
from harness.search.costs import Costs
from harness.search.replay import Job, World, replay
from harness.search.surrogate import Surrogate
from tests import fake_table
from tests.fake_simulation import simulation

LIMITS = (200.0,)
NOISE = 0.012


def step(cost: float, *aps: float, stops: int | None = None) -> Step:
    return Step(NEW, (cost,), aps, max(aps), "table", stops)


SEARCH = Replay(
    "random",
    0,
    (
        step(100, 0.2, 0.4, 0.5),
        step(100, 0.2, 0.4, 0.5),
        Step(WASTED),
        step(150, 0.1, 0.6, 0.9, stops=1),
        step(150, 0.1, 0.2, 0.6, stops=2),
        step(160, 0.1, 0.2, 0.8),
        step(50, 0.1, 0.2, 0.3),
    ),
)
"""The front: 0.3 at 50, 0.5 at 100 and 0.9 at 150. Where the last one is stopped, 0.5 is left there."""


def test_what_one_search_saves_and_loses() -> None:
    found = stopped(SEARCH, LIMITS)
    assert (found.epochs, found.saved) == (18, 2 + 1)
    assert found.saved_share == pytest.approx(3 / 18)
    assert found.losses.tolist() == pytest.approx([0.4, 0, 0]), "highest AP first"
    assert (found.front, found.wrong) == (3, 1)
    assert found.mean_loss == pytest.approx(0.4 / 3)
    assert found.largest_loss == pytest.approx(0.4)
    without = (0.3 * 50 + 0.5 * 50 + 0.9 * 50) / 200
    with_ = (0.3 * 50 + 0.5 * 60 + 0.8 * 40) / 200
    assert found.volumes == pytest.approx((without, with_))
    assert found.volume_share == pytest.approx(with_ / without)


def test_a_search_that_trained_nothing_saves_and_loses_nothing() -> None:
    found = stopped(Replay("random", 0, (Step(WASTED), Step(WASTED))), LIMITS)
    assert (found.saved_share, found.volume_share, found.mean_loss, found.largest_loss) == (0, 1, 0, 0)
    assert (found.front, found.wrong) == (0, 0)


def several(searches: dict[str, list[Sequence[Step]]], **changes: Any) -> Simulation:
    """Return a simulation of searches for AP and parameters."""
    replays = {
        name: [Replay(name, seed, tuple(steps)) for seed, steps in enumerate(found)] for name, found in searches.items()
    }
    planned: dict[str, Any] = {"trials": 7, "pruner": "dominated", "objectives": ("ap", "params"), "limits": LIMITS}
    return replace(simulation({"random": [[0.5]]}), replays=replays, **planned | changes)


GOOD = [step(100, 0.2, 0.4, 0.5), *[step(150, 0.1, 0.2, 0.3, stops=1)] * 3]
FOUND = several({"random": [SEARCH.steps] * 2, "tpe": [GOOD] * 3, "feasible-tpe": [SEARCH.steps, GOOD]})


def test_the_mean_over_searches() -> None:
    random, tpe, mixed = measured(FOUND).values()
    assert random.saved.value == pytest.approx(3 / 18)
    assert random.saved.interval == pytest.approx((3 / 18, 3 / 18))
    assert tpe.saved == Mean(0.5, Interval(0.5, 0.5))
    assert mixed.saved.value == pytest.approx((3 / 18 + 0.5) / 2)
    assert mixed.wrong.value == 0.5
    assert mixed.front.value == 2
    assert tpe.volume == Mean(1, Interval(1, 1))


def test_the_aim_is_judged_by_intervals() -> None:
    random, tpe, mixed = measured(FOUND).values()
    assert (random.enough, random.within, random.verdict) == (FAILS, FAILS, FAILS)
    assert (tpe.enough, tpe.within, tpe.verdict) == (HOLDS, HOLDS, HOLDS)
    assert (mixed.enough, mixed.within, mixed.verdict) == (OPEN, OPEN, OPEN)
    single = measured(several({"tpe": [GOOD]}))["tpe"]
    assert (single.saved.interval, single.verdict) == (None, OPEN)
    lossless = replace(tpe, noise=0.0)
    assert lossless.within == HOLDS


@pytest.mark.slow
def test_the_report_and_its_files(tmp_path: Path) -> None:
    path = write_simulation(FOUND, tmp_path / "report", "python -m harness.simulate --objectives ap,params")
    text = path.read_text(encoding="utf-8")
    names = {file.name for file in path.parent.iterdir()}
    assert names == {"report.md", "report.html", "results.csv", "summary.json", "fronts.png"}
    assert all((path.parent / name).stat().st_size > 0 for name in re.findall(r"\]\(([^)#]+)\)", text))
    assert "3 searches" not in text
    assert "7 searches of 7 trials each for the objectives `ap,params`, replayed on" in text
    assert "| tpe | 3 | 50.0 [50.0, 50.0] | 100.0 [100.0, 100.0] | 0.0 [0.0, 0.0] | 0.0 [0.0, 0.0] |" in text
    assert "A study with the rule proposes other trials once one is stopped" in text
    assert "Reference point: search AP 0 %, 200 parameters." in text
    with (path.parent / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["sampler"], row["seed"]) for row in rows[:3]] == [("random", "0"), ("random", "1"), ("tpe", "0")]
    assert (rows[0]["epochs"], rows[0]["saved"], rows[0]["stopped"], rows[0]["trained"]) == ("18", "3", "2", "6")
    assert (rows[0]["front"], rows[0]["wrongly_stopped"], rows[0]["largest_ap_lost"]) == ("3", "1", "0.4")


def test_findings_say_by_how_much_the_aim_is_missed() -> None:
    said = contents_of(FOUND).findings
    assert said[0].startswith("The aim: at least 40.0 % of the epochs are saved, and the largest loss of AP")
    assert "seed noise, 1.2 points" in said[0]
    assert said[1] == (
        "`random`: 16.7 [16.7, 16.7] % of the epochs are saved, and the largest loss is 40.0 [40.0, 40.0] points. The "
        "aim is missed: the share saved is 23.3 points too low and the loss is 38.8 points above seed noise."
    )
    assert said[2].endswith("The aim is reached.")
    assert said[3].endswith("These searches do not decide whether the aim is reached.")
    assert said[4] == "The whole front is kept in 4 of 7 searches; the largest loss of all is 40.0 points."
    assert said[5] == "52.9 % of the trained trials are stopped, half of them after at most 1 of 4 epochs."


def test_a_table_without_seed_noise_is_said_first() -> None:
    assert contents_of(FOUND).remarks == []
    (said,) = contents_of(replace(FOUND, noise={"seeds": 0.0, "residual": 0.0})).remarks
    assert "one training per network" in said


def test_the_summary_has_the_numbers_of_every_sampler() -> None:
    found = summary(FOUND)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["objectives"], found["limits"]) == (["ap", "params"], {"params": 200.0})
    tpe = found["samplers"]["tpe"]
    assert tpe["saved_share"] == {"mean": 0.5, "interval": [0.5, 0.5]}
    assert (tpe["wasted_share"], found["samplers"]["random"]["wasted_share"]) == (0, pytest.approx(1 / 7))
    assert found["aim"]["saved_share"] == 0.4
    assert found["aim"]["largest_ap_lost"] == NOISE
    assert found["aim"]["samplers"]["tpe"] == {"saved": "holds", "lost": "holds", "verdict": "holds"}


def test_latencies_are_explained_where_they_are_an_objective() -> None:
    assert not any("Latencies" in sentence for sentence in contents_of(FOUND).method)
    steps = [replace(one, costs=(one.costs[0], 0.5)) for one in GOOD]
    errors = {"networks": 40, "r2": 0.9, "tau": 0.8, "mae": 0.012, "rmse": 0.02}
    found = several({"tpe": [steps] * 2}, objectives=("ap", "params", "latency"), limits=(200.0, 1.0), latencies=errors)
    (said,) = [sentence for sentence in contents_of(found).method if "Latencies" in sentence]
    assert "0.012 × V1's latency" in said
    (picture,) = contents_of(found).pictures
    assert "fronts drawn are those of AP and params only" in picture.text


def test_the_picture_has_both_fronts_of_every_sampler() -> None:
    (picture,) = contents_of(FOUND).pictures
    figure = picture.figure
    assert isinstance(figure, Figure)
    drawn = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in drawn] == ["random", "tpe", "feasible-tpe"]
    lines = {str(line.get_label()): line for line in drawn[0].lines}
    assert np.array(lines["stopped"].get_xydata()).tolist() == [[150, 90], [150, 60]]
    assert lines["front of all"].get_ydata() == pytest.approx([30, 50, 50, 60, 90, 90, 90])
    assert lines["front of those kept"].get_ydata() == pytest.approx([30, 50, 50, 80, 80])
    (empty,) = contents_of(several({"tpe": [[Step(WASTED)]]})).pictures
    assert empty.figure is None


TINY = SearchSpace(
    name="tiny",
    description="all of it is in the table",
    base=ARCHS["v2"],
    axes=(
        Choice("attention.name", ("none", "eca")),
        IntRange("neck.channels", 24, 32, 4),
        IntRange("neck.repeats", 1, 2),
        Choice("neck_attention.name", ("none",)),
        Choice("context.name", ("none",)),
        Choice("shuffle.name", ("none",)),
        Choice("head.trunk", ("none",)),
        Choice("head.per_level", (False, True)),
    ),
)
COUNTS = SpaceCounts(TINY)
ALL = COUNTS.size
LARGEST = max(TINY.enumerate(), key=lambda chosen: COUNTS.total(chosen) or 0)


def cheap(configuration: Configuration) -> float:
    """An AP that more repeats and a second head cost."""
    return 0.9 - 0.2 * float(configuration["neck.repeats"]) - 0.1 * bool(configuration["head.per_level"])


def late(configuration: Configuration) -> Sequence[float]:
    """The largest network learns in its last epoch what the others learn in their first."""
    return (0.1, 0.2, 1.0) if configuration == LARGEST else (0.6, 0.9, 1.0)


def planted(
    ap: Callable[[Configuration], float], shape: Callable[[Configuration], Sequence[float]], seed: int
) -> Stopped:
    """Return a search of everything in a table without noise."""
    table = fake_table.table(TINY, ap, networks=ALL, noise=0.0, shape=shape)
    costs = Costs.of_table(table, TINY, ("ap", "params"))
    world = World(TINY, table.budget, Surrogate(table, TINY), noisy=False, costs=costs)
    return stopped(replay(Job(world, f"{FEASIBLE}random", seed, ALL)), costs.limits)


@pytest.mark.parametrize("seed", range(3))
def test_where_curves_do_not_cross_stopping_is_free(seed: int) -> None:
    found = planted(cheap, fake_table.steady, seed)
    assert (found.wrong, found.largest_loss, found.volume_share) == (0, 0, 1)
    late_enough = found.steps[10:]
    assert sum(one.stops == 1 for one in late_enough) > len(late_enough) / 2
    assert found.saved == 2 * sum(one.stops == 1 for one in found.steps)


def test_a_network_that_learns_late_is_lost() -> None:
    """It is the best of all. Every other one reaches at most 0.5, and gains at most 0.2 after its first epoch."""

    def best(configuration: Configuration) -> float:
        return 0.9 if configuration == LARGEST else 0.5

    lost = 0
    for seed in range(4):
        found = planted(best, late, seed)
        (place,) = [place for place, one in enumerate(found.steps) if one.aps[-1] == 0.9]
        if place >= 10:
            lost += 1
            assert found.steps[place].stops == 1
            assert found.wrong == 1
            assert found.largest_loss == pytest.approx(0.4)
    assert lost > 0
