"""Studies whose objective or budget is a predicted latency, and early stopping by several objectives."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.core.arch import ArchConfig
from harness.core.budget import Budget
from harness.core.manifest import Manifest
from harness.core.names import load_space
from harness.core.record import TrialRecord
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.evaluation.stopping import LEAST, replay, shown
from harness.models.latency import LatencyTable, parts_in
from harness.search.speeds import Stopwatch
from tests.planted_latencies import planted
from tests.search.stub import DOMINATED, QUICK, Plan, Stub, outcome, records, trials

pytestmark = pytest.mark.slow


LATENCY: dict[str, Any] = {"objectives": ("ap", "params", "latency")}


def test_latency_as_an_objective_is_told_as_predicted_and_measured_for_finalists(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = planted(parts_in(load_space("v2_light")))
    aps = {f"{n:04d}": [0.1, 0.2 + n / 100] for n in range(6)}
    measured = list[str]()
    measure = Stopwatch.measure

    def watched(stopwatch: Stopwatch, record: TrialRecord) -> None:
        measured.append(record.label)
        measure(stopwatch, record)

    monkeypatch.setattr(Stopwatch, "measure", watched)
    folder = stub.study(Plan(ap=aps), workers=3, trials=6, **LATENCY)
    found = [r for r in records(folder).values() if r.role == "candidate"]
    assert len({r.latency for r in found}) == 6
    for trial, record in zip(trials(folder), found, strict=True):
        assert record.latency == table.ratio(ArchConfig.from_dict(record.arch))
        assert trial.values == [record.search_ap["mean"], record.params, record.latency]
    rows = [(-(r.search_ap["mean"] or 0), r.params, r.latency or 0) for r in found]
    front = {
        r.label
        for r, row in zip(found, rows, strict=True)
        if not any(other != row and all(a <= b for a, b in zip(other, row, strict=True)) for other in rows)
    }
    assert 1 < len(front) < 6
    assert sorted(measured) == sorted({"v1", "v2"} | front)
    assert {label for label, r in records(folder).items() if r.speed} == set(measured)
    assert records(folder)["v1"].latency == pytest.approx(1, abs=1e-5)
    stub.study(Plan(), trials=6, **LATENCY)
    assert len(measured) == len(front) + 2, "what is measured is not measured again"


def test_latencies_do_not_change_while_a_study_lasts(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version of PyTorch gives new latencies; a study that is continued keeps its own."""
    whole = outcome(stub.study(name="whole", trials=9, sampler="nsga2", **LATENCY))
    folder = stub.study(trials=5, sampler="nsga2", **LATENCY)
    table = LatencyTable.load(folder / "latency.json")
    other = LatencyTable(table.conditions, {text: time / 2 + 0.1 for text, time in table.times.items()})
    monkeypatch.setattr("harness.search.run.ensure_latencies", lambda *_: other)
    assert outcome(stub.study(trials=9, workers=3, sampler="nsga2", **LATENCY)) == whole
    assert LatencyTable.load(folder / "latency.json") == table
    with pytest.raises(InputError, match=r"image size of the latencies 64, not 96: choose another --name"):
        stub.study(trials=9, sampler="nsga2", speed=replace(QUICK.speed, size=96), **LATENCY)
    other.save(folder / "latency.json")
    with pytest.raises(InputError, match=f"latencies {table.digest()}, not {other.digest()}"):
        stub.study(trials=9, sampler="nsga2", **LATENCY)


def test_no_candidate_exceeds_a_bound_on_latency(stub: Stub) -> None:
    table = planted(parts_in(load_space("v2_light")))
    free = [
        r.latency or 0 for r in records(stub.study(name="free", trials=8, **LATENCY)).values() if r.number is not None
    ]
    bound = float(np.median(free))
    folder = stub.study(trials=8, budget=Budget(max_latency_ratio=bound))
    found = [r for r in records(folder).values() if r.role == "candidate"]
    assert len(found) == 8
    assert all(0 < (r.latency or 0) <= bound for r in found)
    manifest = Manifest.load(folder)
    assert manifest.config.budget.max_latency_ratio == bound
    assert manifest.space.feasible == SpaceCounts(load_space("v2_light"), table).feasible(manifest.config.budget)
    assert manifest.standing.wasted == 0


def test_a_bound_that_nothing_meets_is_refused_and_leaves_nothing_behind(stub: Stub) -> None:
    with pytest.raises(InputError, match=r"nothing fits the budget of 256,148 parameters and 0\.001 × V1's latency"):
        stub.study(budget=Budget(max_latency_ratio=0.001))
    assert not (stub.runs / "stub").exists()
    slow = SpaceCounts(load_space("v2_light")).sample(Budget(), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"is predicted to take .* × V1's latency, over the budget of 256,148 param"):
        stub.study(budget=Budget(max_latency_ratio=0.4), enqueued=(slow,))


def test_what_is_stopped_follows_from_earlier_trials_only(stub: Stub) -> None:
    """Decisions are the same for any workers, order and interruption, and as replayed on trials that ran to the end."""
    whole = stub.study(name="whole", pruner="none", **DOMINATED)
    candidates = [r for r in records(whole).values() if r.number is not None]
    trainings = [shown(record, DOMINATED["objectives"]) for record in candidates]
    expected = replay(trainings, QUICK.window, QUICK.train.epochs)
    assert 0 < len(expected) < len(candidates) - QUICK.window - LEAST
    stopped = stub.study(name="stopped", pruner="dominated", workers=1, **DOMINATED)
    found = records(stopped)
    assert {r.number: len(r.epochs) for r in found.values() if r.state == "pruned"} == expected
    assert {r.reason for r in found.values() if r.state == "pruned"} == {"stopped after epoch 1 by the dominated rule"}
    for record in candidates:
        if record.number not in expected:
            assert outcome(stopped)[record.label] == outcome(whole)[record.label]
    assert [t.state.name for t in trials(stopped)] == ["PRUNED" if n in expected else "COMPLETE" for n in range(26)]
    for run in itertools.count():
        try:
            stub.study(Plan(interrupt=9, order=run), workers=1 + run % 4, name="again", pruner="dominated", **DOMINATED)
            break
        except KeyboardInterrupt:
            continue
    assert run > 2
    assert outcome(stub.runs / "again") == outcome(stopped)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_samplers_go_on_beside_trials_that_were_stopped(stub: Stub, sampler: str) -> None:
    changes = DOMINATED | {"sampler": sampler, "pruner": "dominated"}
    planned = Plan(ap={f"{n:04d}": [0.4, 0.5] for n in range(10)} | {f"{n:04d}": [0.1, 0.2] for n in range(10, 26)})
    found = Manifest.load(stub.study(planned, **changes)).standing
    assert found.trials["complete"] + found.trials["pruned"] == 26
    assert found.trials["pruned"] > 0
    assert found.proposals["sampler"] + found.proposals.get("alike", 0) > 10
