"""Simulations with invented searches."""

from collections.abc import Sequence
from typing import Any

from harness.core.provenance import Provenance
from harness.core.replay import NEW, REPEATED, WASTED, Best, Replay, Simulation, Step

EPOCHS = 4


def search(sampler: str, aps: Sequence[float | None], seed: int = 0) -> Replay:
    """Return a search whose trials have these APs, seen and expected alike; None is wasted, a known one repeated."""
    steps: list[Step] = []
    seen: list[float] = []
    for ap in aps:
        if ap is None:
            steps.append(Step(WASTED, best=max(seen, default=None)))
            continue
        outcome = REPEATED if ap in seen else NEW
        seen.append(ap)
        steps.append(Step(outcome, (), (ap,) * EPOCHS, max(seen), "table" if ap > 0.5 else "surrogate"))
    return Replay(sampler, seed, tuple(steps))


def simulation(searches: dict[str, list[Sequence[float | None]]], **changes: Any) -> Simulation:
    """Return a simulation of searches: sampler → the APs of each of its searches."""
    replays = {
        name: [search(name, aps, seed) for seed, aps in enumerate(several)] for name, several in searches.items()
    }
    content: dict[str, Any] = {
        "table": {
            "space": "architectures",
            "digest": "a" * 12,
            "networks": 40,
            "trainings": 80,
            "wanted": 80,
            "complete": True,
            "budget": "256,148 parameters",
            "epochs": EPOCHS,
            "protocol": {"digest": "d" * 12},
            "images": {"train": "1" * 12, "search": "2" * 12, "val": "3" * 12},
            "teacher": "f" * 12,
            "training": 5,
            "commits": ["0" * 40],
            "command": "python -m benchmarks.tabular",
        },
        "feasible": 100,
        "size": 1_000,
        "surrogate": {"networks": 40, "r2": 0.75, "tau": 0.66, "mae": 0.0071, "rmse": 0.009},
        "noise": {"seeds": 0.012, "residual": 0.004},
        "noisy": True,
        "best": Best({"neck.channels": 48}, 0.7, "surrogate"),
        "trials": max(len(aps) for several in searches.values() for aps in several),
        "pruner": "none",
        "objectives": ("ap",),
        "limits": (),
        "latencies": {},
        "replays": replays,
        "provenance": Provenance("1" * 40, {"optuna": "5"}, {"cpu": "planted"}),
    }
    return Simulation(**content | changes)
