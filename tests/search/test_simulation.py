"""Many searches in several processes: the same as one by one, and the best of the whole space."""

import pytest

from harness.core.replay import Simulation
from harness.counting import SpaceCounts
from harness.errors import HarnessError
from harness.search import simulation as module
from harness.search.replay import Job, World, replay
from harness.search.simulation import best, simulate
from harness.search.surrogate import Surrogate
from tests import fake_table
from tests.fake_table import SMALL

TABLE = fake_table.table(SMALL, networks=30)
SEARCHES = {"random": 3, "feasible-random": 2}


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total, what


def run(workers: int) -> Simulation:
    return simulate(
        TABLE,
        SMALL,
        SEARCHES,
        trials=5,
        pruner="none",
        objectives=("ap",),
        noisy=True,
        workers=workers,
        progress=quiet,
    )


@pytest.mark.slow
def test_searches_do_not_depend_on_the_number_of_processes() -> None:
    one, two = run(1), run(2)
    assert one == two
    world = World(SMALL, TABLE.budget, Surrogate(TABLE, SMALL))
    for name, seeds in SEARCHES.items():
        assert one.replays[name] == [replay(Job(world, name, seed, 5)) for seed in range(seeds)]
    assert one.table["trainings"] == 60
    assert one.table["networks"] == 30
    assert (one.feasible, one.size) == (SpaceCounts(SMALL).feasible(TABLE.budget), SMALL.size())


def test_the_best_of_the_space_is_that_of_a_plain_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 50)
    world, counts = World(SMALL, TABLE.budget, Surrogate(TABLE, SMALL)), SpaceCounts(SMALL)
    found = best(world, counts, quiet)
    fitting = [c for c in SMALL.enumerate() if counts.is_feasible(c, TABLE.budget)]
    aps = [float(world.surrogate.answer(c).aps[-1]) for c in fitting]
    assert found.ap == pytest.approx(max(aps))
    assert world.surrogate.answer(found.configuration).aps[-1] == pytest.approx(found.ap)
    assert world.surrogate.answer(found.configuration).source == found.source


@pytest.mark.slow
def test_a_failed_search_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "jobs", lambda *_: [Job(None, "unheard of", 0, 1)])  # type: ignore[arg-type]
    with pytest.raises(HarnessError, match="unheard of, seed 0: AttributeError"):
        run(1)
