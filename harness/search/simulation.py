"""Replays many searches on a table in several processes, and finds the best configuration of the whole space."""

import itertools
from collections.abc import Callable

from harness.core.provenance import provenance
from harness.core.replay import Best, Replay, Simulation
from harness.core.space import SearchSpace
from harness.core.table import Table
from harness.counting import SpaceCounts
from harness.errors import HarnessError
from harness.search.costs import Costs
from harness.search.replay import World, jobs, replay
from harness.search.surrogate import Surrogate
from harness.search.workers import Processes

Report = Callable[[str, int, int], None]
"""Called with (what, done, total)."""

BLOCK = 4_096
"""Number of configurations whose APs are predicted at once."""


def simulate(
    table: Table,
    space: SearchSpace,
    searches: dict[str, int],
    *,
    trials: int,
    pruner: str,
    objectives: tuple[str, ...],
    noisy: bool,
    workers: int,
    progress: Report,
) -> Simulation:
    """Return replayed searches; they do not depend on ``workers``.

    Args:
        table: the trained networks.
        space: the table's.
        searches: sampler, a name of ``REPLAYED`` → number of its searches, whose seeds are 0, 1, 2, ….
        trials: trials of each search.
        pruner: a name of ``PRUNERS``; with several objectives, ``dominated`` is applied to trials that ran without it.
        objectives: names of ``OBJECTIVES``, AP first.
        noisy: whether a search is told the AP of one training, and not the expected one.
        workers: number of processes.
        progress: called while searches are replayed.

    Raises:
        InputError: the table is of another space, has too few networks, or lacks the latencies that are an objective.
        HarnessError: a search failed.
    """
    counts = SpaceCounts(space)
    progress("fitting the surrogate", 0, 1)
    surrogate = Surrogate(table, space)
    costs = Costs.of_table(table, space, objectives)
    world = World(space, table.budget, surrogate, noisy, costs)
    return Simulation(
        table=_facts(table),
        feasible=counts.feasible(table.budget),
        size=counts.size,
        surrogate=vars(surrogate.errors),
        noise={
            "seeds": float(surrogate.noise.seeds[-1, -1] ** 0.5),
            "residual": float(surrogate.noise.residual[-1]),
        },
        noisy=noisy,
        best=best(world, counts, progress),
        trials=trials,
        pruner=pruner,
        objectives=objectives,
        limits=costs.limits,
        latencies={} if costs.latencies is None else vars(costs.latencies.errors),
        replays=_replays(world, searches, trials, "none" if costs.names else pruner, workers, progress),
        provenance=provenance(),
    )


def _facts(table: Table) -> dict[str, object]:
    return {
        "space": table.space,
        "digest": table.space_digest,
        "networks": sum(bool(network.aps) for network in table.networks),
        "trainings": sum(len(network.aps) for network in table.networks),
        "wanted": table.wanted,
        "complete": table.complete,
        "budget": str(table.budget),
        "epochs": table.epochs,
        "protocol": table.search_protocol,
        "images": table.images,
        "teacher": table.teacher["digest"],
        "training": table.training,
        "commits": sorted({str(one["commit"]) for one in table.provenance}),
        "command": table.command,
    }


def best(world: World, counts: SpaceCounts, progress: Report) -> Best:
    """Return the configuration with the highest expected AP of all that fit the budget; among equal ones, the first.

    Raises:
        BudgetError: nothing fits.
    """
    counts.largest(world.budget)  # Refuses a budget that nothing fits.
    every, total = counts.within(world.budget), counts.feasible(world.budget)
    found: Best | None = None
    done = 0
    while block := list(itertools.islice(every, BLOCK)):
        progress("searching the best configuration", done, total)
        for configuration, answer in zip(block, world.surrogate.answers(block), strict=True):
            if found is None or answer.aps[-1] > found.ap:
                found = Best(configuration, float(answer.aps[-1]), answer.source)
        done += len(block)
    progress("searching the best configuration", total, total)
    assert found is not None, "something fits"
    return found


def _replays(
    world: World, searches: dict[str, int], trials: int, pruner: str, workers: int, progress: Report
) -> dict[str, list[Replay]]:
    """Return sampler → its searches by seed."""
    waiting = {f"{job.sampler}, seed {job.seed}": job for job in jobs(world, searches, trials, pruner)}
    # The Gaussian process takes longest, so that its searches are last in this list, from whose end jobs are taken.
    order = sorted(waiting, key=lambda label: waiting[label].sampler.endswith("gp"))
    found: list[Replay] = []
    pool = Processes(replay, min(workers, len(waiting)), threads=1)
    try:
        while len(found) < len(waiting):
            progress("replaying searches", len(found), len(waiting))
            while order and pool.idle:
                label = order.pop()
                pool.start(label, waiting[label])
            for event in pool.wait():
                if event.kind == "fatal":
                    raise event.content
                if event.kind != "result":
                    raise HarnessError(f"{event.label}: {event.content}")
                found.append(event.content)
    finally:
        pool.close()
    progress("replaying searches", len(found), len(waiting))
    found.sort(key=lambda one: one.seed)
    return {name: [one for one in found if one.sampler == name] for name in searches}
