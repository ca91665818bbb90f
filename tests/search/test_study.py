"""How a study uses the results of its trainings, for any results and any interruption."""

import errno
import itertools
import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import FrozenTrial

from harness import cli
from harness.core.arch import ARCHS, ArchConfig
from harness.core.manifest import Manifest
from harness.core.names import load_space
from harness.core.protocol import Budget, TrainConfig, digest
from harness.core.provenance import Provenance
from harness.core.record import TrialRecord
from harness.core.sealed import read_sealed, write_sealed
from harness.counting import SpaceCounts
from harness.errors import HarnessError, InputError, NonFiniteLossError, Preempted
from harness.evaluation.stopping import LEAST, replay, shown
from harness.models.builder import build
from harness.models.latency import LatencyTable, parts_in
from harness.models.weights import file_digest, save_weights
from harness.search.speeds import Stopwatch
from harness.search.storage import single_writer
from harness.training.checkpoint import read_state, write_checkpoint
from tests.planted_latencies import planted
from tests.search.stub import QUICK, Plan, Stub, outcome, records

pytestmark = pytest.mark.slow

SEARCH: dict[str, Any] = {"trials": 14, "pruner": "halving"}
"""Long enough that the sampler is asked: the first trials are drawn uniformly."""


def trials(folder: Path) -> list[FrozenTrial]:
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}").trials


def rising(count: int, **others: list[float]) -> dict[str, list[float]]:
    """Return planted APs after two epochs, each trial's a little above the one before."""
    return {f"{n:04d}": [0.4 + n / 100, 0.5 + n / 100] for n in range(count)} | others


def test_every_candidate_fits_and_is_recorded_whole(stub: Stub) -> None:
    space = load_space("v2_light")
    counts = SpaceCounts(space)
    candidates = [r for r in records(stub.study(trials=5)).values() if r.role == "candidate"]
    assert [r.number for r in candidates] == [0, 1, 2, 3, 4]
    for record in candidates:
        space.check(record.configuration)
        assert record.arch == space.arch(record.configuration).to_dict()
        assert record.params == counts.total(record.configuration) == sum(record.parts.values())
        assert record.params <= Budget().max_params
        assert (record.state, len(record.epochs)) == ("complete", QUICK.train.epochs)
        assert record.search_ap == record.epochs[-1]["ap"]
        assert record.teacher["label"] == "v1"
        assert (record.seconds["train"], record.seconds["evaluate"]) == (1.0, 0.5)
        assert set(record.seconds) == {"train", "evaluate", "speed", "total"}
        assert record.speed["ratio_to_v1"] == 1.25
        assert record.size_mb == pytest.approx(4e-6 * record.params, rel=0.1)
    assert len({r.seed for r in candidates}) == 1, "all have common random numbers"


def test_a_trial_below_the_others_is_stopped(stub: Stub) -> None:
    folder = stub.study(Plan(ap=rising(7, **{"0005": [0.1, 0.9]})), trials=7, pruner="halving")
    found = records(folder)
    assert [label for label, r in found.items() if r.state == "pruned"] == ["0005"]
    stopped = found["0005"]
    assert stopped.reason == "stopped after epoch 1 by the halving rule"
    assert (len(stopped.epochs), stopped.search_ap["mean"]) == (1, 0.1)
    assert (stopped.ap, stopped.speed, stopped.size_mb) == ({}, {}, 0.0)
    assert not (folder / "trials" / "0005" / "weights.safetensors").exists()
    assert Manifest.load(folder).standing.trials == {"complete": 6, "pruned": 1, "failed": 0, "running": 0, "wanted": 7}
    assert [trial.state.name for trial in trials(folder)] == ["COMPLETE"] * 5 + ["PRUNED", "COMPLETE"]


def test_in_the_last_epoch_nothing_is_stopped(stub: Stub) -> None:
    found = records(stub.study(Plan(ap=rising(7, **{"0005": [0.9, 0.1]})), trials=7, pruner="halving"))
    assert (found["0005"].state, found["0005"].search_ap["mean"]) == ("complete", 0.1)


def test_the_best_has_the_highest_search_ap_and_fewer_parameters_break_a_tie(stub: Stub) -> None:
    folder = stub.study(Plan(ap={f"{n:04d}": [0.9, 0.3 + 0.1 * (n > 2)] for n in range(6)}), trials=6)
    found = records(folder)
    best = min((found[f"{n:04d}"] for n in (3, 4, 5)), key=lambda r: r.params)
    assert Manifest.load(folder).standing.best == best.label
    assert {label for label, r in found.items() if r.ap} == {"v1", "v2", best.label}, "the others are never graded"
    assert (folder / "trials" / best.label / "predictions.npz").exists()
    assert [trial.value for trial in trials(folder)] == [found[f"{n:04d}"].search_ap["mean"] for n in range(6)]


def test_a_better_student_is_graded_when_the_study_continues(stub: Stub) -> None:
    ap = rising(6)
    folder = stub.study(Plan(ap=ap), trials=4)
    plan = Plan(ap=ap)
    stub.study(plan, trials=6)
    assert plan.trained.count("0005") == 2, "trained and then graded"
    assert {label for label, r in records(folder).items() if r.ap} == {"v1", "v2", "0003", "0005"}


def test_what_another_study_has_trained_is_read(stub: Stub) -> None:
    first = stub.study(name="first", trials=3)
    for path in first.glob("trials/*/weights.safetensors"):
        write_checkpoint(path.parent, {"identity": {}, "whose": path.parent.name})
    second = stub.study(name="second", trials=4)
    found = records(second)
    assert {label: r.read_from for label, r in found.items() if label != "v1"} == {
        "v2": "first/v2",
        "0000": "first/0000",
        "0001": "first/0001",
        "0002": "first/0002",
        "0003": "",
    }
    assert read_state(second / "trials" / "0001" / "last.pt", torch.device("cpu"))["whose"] == "0001"
    assert found["0001"].provenance == records(first)["0001"].provenance
    assert any(line.startswith("0001: read from first/0001") for line in stub.lines)


@pytest.mark.slow
def test_the_trials_do_not_depend_on_the_workers_and_their_timing(stub: Stub) -> None:
    folder = stub.study(workers=1, name="alone", **SEARCH)
    alone = outcome(folder)
    assert {trial.user_attrs["source"] for trial in trials(folder)} >= {"uniform", "sampler"}
    assert {"complete", "pruned"} == {state for state, *_ in alone.values()}
    for workers, order in ((2, 1), (3, 2), (8, 3)):
        folder = stub.study(Plan(order=order), workers=workers, name=f"with-{workers}", **SEARCH)
        assert outcome(folder) == alone, f"{workers} workers"


@pytest.mark.slow
def test_interruptions_do_not_change_the_result(stub: Stub) -> None:
    undisturbed = outcome(stub.study(name="whole", **SEARCH))
    folder = stub.runs / "stub"
    for run in itertools.count():
        done = {label for label, r in records(folder).items() if r.state != "running"}
        plan = Plan(interrupt=5 + run % 4, order=run)
        try:
            stub.study(plan, workers=1 + run % 2, **SEARCH)
            break
        except KeyboardInterrupt:
            again = done & set(plan.trained)
            graded = {label for label in again if label.isdigit() and plan.jobs[label].grade}
            assert not again - graded, "what has ended is not trained again"
            assert graded <= {Manifest.load(folder).standing.best}, "only the best student is graded"
            assert (folder / "report" / "report.md").exists()
    assert run > 3
    assert outcome(folder) == undisturbed


def test_a_study_that_is_preempted_leaves_without_a_report_and_goes_on_later(stub: Stub) -> None:
    undisturbed = outcome(stub.study(name="whole"))
    with pytest.raises(Preempted):
        stub.study(Plan(interrupt=6, preempts=True))
    assert not (stub.runs / "stub" / "report").exists()
    assert outcome(stub.study()) == undisturbed


def test_a_killed_worker_costs_nothing(stub: Stub) -> None:
    undisturbed = outcome(stub.study(name="whole"))
    folder = stub.study(Plan(fail={("0001", 2): "its process was killed by SIGKILL"}))
    assert "0001: its process was killed by SIGKILL; it continues from its last checkpoint" in stub.lines
    assert outcome(folder) == undisturbed


@pytest.mark.slow
def test_a_worker_killed_twice_ends_the_run_and_the_next_run_trains_its_trial(stub: Stub) -> None:
    undisturbed = outcome(stub.study(name="whole"))
    with pytest.raises(HarnessError, match="0001: killed, for the second time; the same command"):
        stub.study(Plan(kills={"0001": 2}))
    assert records(stub.runs / "stub")["0001"].state == "running"
    assert outcome(stub.study()) == undisturbed


def test_a_training_that_gets_on_may_be_killed_often(stub: Stub) -> None:
    undisturbed = outcome(stub.study(name="whole"))
    kills: dict[tuple[str, int], Exception | str] = {("0001", epoch): "its process was killed" for epoch in (1, 2)}
    assert outcome(stub.study(Plan(fail=kills))) == undisturbed


def test_a_training_that_exhausts_the_memory_twice_has_failed(stub: Stub) -> None:
    folder = stub.study(Plan(kills={"0001": 2, "0002": 1}, exhausted={"0001", "0002"}))
    assert [r.state for r in records(folder).values() if r.role == "candidate"] == [
        *("complete", "failed", "complete", "complete")
    ]
    assert records(folder)["0001"].reason == "killed"


def test_a_failure_costs_its_trial_only(stub: Stub) -> None:
    diverged, defect = NonFiniteLossError("the loss is not finite: class nan"), ZeroDivisionError("a defect")
    folder = stub.study(Plan(fail={("0001", 1): diverged, ("0002", 2): defect}))
    found = records(folder)
    assert [r.state for r in found.values() if r.role == "candidate"] == ["complete", "failed", "failed", "complete"]
    assert (found["0001"].reason, found["0001"].search_ap) == ("the loss is not finite: class nan", {})
    assert (folder / "trials" / "0002" / "error.txt").read_text() == "Traceback"
    assert not (folder / "trials" / "0001" / "error.txt").exists()
    assert [trial.state.name for trial in trials(folder)] == ["COMPLETE", "FAIL", "FAIL", "COMPLETE"]
    assert "0001: failed (the loss is not finite: class nan), " in "\n".join(stub.lines)
    plan = Plan()
    stub.study(plan)
    assert plan.trained == [], "a failure is a result"


def test_a_study_whose_trials_all_fail_says_so(stub: Stub) -> None:
    fail: dict[tuple[str, int], Exception | str] = {(f"000{n}", 1): NonFiniteLossError(f"nan {n}") for n in range(2)}
    with pytest.raises(HarnessError, match="all 2 trials failed, the first one because: nan 0"):
        stub.study(Plan(fail=fail), trials=2)
    assert (stub.runs / "stub" / "report" / "report.md").exists()


@pytest.mark.parametrize("where", ["worker", "study"])
@pytest.mark.slow
def test_a_full_disk_ends_in_one_line_and_the_study_resumes_later(
    stub: Stub, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = outcome(stub.study(name="whole"))
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "record.json")
    save, saved = TrialRecord.save, itertools.count()

    def full(record: TrialRecord, folder: Path) -> None:
        if next(saved) == 12:
            raise error
        save(record, folder)

    if where == "study":
        monkeypatch.setattr(TrialRecord, "save", full)
    plan = Plan(fail={("0002", 1): error} if where == "worker" else {})
    with pytest.raises(SystemExit) as stopped:
        cli.run(lambda _: bool(stub.study(plan)))
    assert stopped.value.code == 1
    assert "the disk is full; free some space and run the same command again" in capsys.readouterr().err
    assert outcome(stub.study()) == undisturbed


def test_more_trials_continue_where_the_study_ended(stub: Stub) -> None:
    folder = stub.study()
    before = outcome(folder)
    with pytest.raises(InputError, match=r"made with train\.epochs 2, not 3: choose another --name"):
        stub.study(train=replace(QUICK.train, epochs=3))
    plan = Plan()
    stub.study(plan, trials=6, resources={"command": "six"})
    after = outcome(folder)
    assert {label: after[label] for label in before} == before
    assert set(after) - set(before) == {"0004", "0005"}
    assert set(plan.trained) <= {"0004", "0005"}
    stub.study(trials=2, resources={"command": "two"})
    again = Manifest.load(folder)
    assert (again.config.trials, again.standing.trials["wanted"]) == (6, 6), "what was made is not taken back"
    assert again.command == "six"


IDENTITY: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "seed": ({"seed": 1}, {}, "seed 0, not 1"),
    "window": ({"window": 5}, {}, "window 4, not 5"),
    "data": ({"data": replace(QUICK.data, seed=1)}, {}, r"data\.seed 0, not 1"),
    "threads": ({}, {"threads": 2}, "threads 1, not 2"),
    "version": ({}, {}, "version of the training code .*, not 99"),
}


@pytest.mark.parametrize("case", IDENTITY)
def test_a_study_continues_only_with_the_same_identity(stub: Stub, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, resources, message = IDENTITY[case]
    folder = stub.study(trials=1)
    before = outcome(folder)
    if case == "version":
        monkeypatch.setattr("harness.search.identity.TRAINING_VERSION", 99)
    with pytest.raises(InputError, match=message):
        stub.study(trials=1, resources=resources, **changes)
    assert outcome(folder) == before


def test_the_provenance_of_a_network_is_never_rewritten(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.search.run.provenance", lambda *_: Provenance("old", {"torch": "1"}, {"cpu": "A"}))
    with pytest.raises(KeyboardInterrupt):
        stub.study(Plan(interrupt=8), workers=1, trials=3)
    folder = stub.runs / "stub"
    assert [(r.label, r.state) for r in records(folder).values()][-2:] == [("0000", "complete"), ("0001", "running")]
    made = Manifest.load(folder).provenance
    monkeypatch.setattr("harness.search.run.provenance", lambda *_: Provenance("new", {"torch": "2"}, {"cpu": "B"}))
    stub.study(trials=3)
    assert Manifest.load(folder).provenance == made
    by = {label: [one["commit"] for one in r.provenance] for label, r in records(folder).items()}
    assert [by[f"000{n}"] for n in range(3)] == [["old"], ["old", "new"], ["new"]]
    said = "continues a study started with commit old on A (torch 1); new trainings use commit new on B (torch 2)"
    assert said in stub.lines


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


DOMINATED: dict[str, Any] = {"trials": 26, "sampler": "random", "objectives": ("ap", "params", "latency")}
"""Uniform draws, so that a study with and one without early stopping have the same candidates."""


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_samplers_go_on_beside_trials_that_were_stopped(stub: Stub, sampler: str) -> None:
    changes = DOMINATED | {"sampler": sampler, "pruner": "dominated"}
    planned = Plan(ap={f"{n:04d}": [0.4, 0.5] for n in range(10)} | {f"{n:04d}": [0.1, 0.2] for n in range(10, 26)})
    found = Manifest.load(stub.study(planned, **changes)).standing
    assert found.trials["complete"] + found.trials["pruned"] == 26
    assert found.trials["pruned"] > 0
    assert found.proposals["sampler"] + found.proposals.get("alike", 0) > 10


@pytest.mark.slow
def test_references_and_the_best_student_are_trained_with_several_seeds(stub: Stub) -> None:
    references = ("v2", "v2-alone")
    folder = stub.study(trials=2, references=references)
    first = outcome(folder)
    stub.study(trials=2, references=references, seeds=2, resources={"command": "seeds"})
    after = outcome(folder)
    assert {label: after[label] for label in first} == first, "more seeds leave what was trained as it is"
    stub.study(trials=2, references=("v2",), resources={"command": "fewer"})
    manifest = Manifest.load(folder)
    assert (manifest.config.seeds, manifest.config.references) == (2, references), "nothing is taken back"
    assert manifest.command == "seeds"
    found, best = records(folder), manifest.standing.best
    assert best is not None
    assert set(after) - set(first) == {"v2-s2", "v2-alone-s2", f"{best}-s2"}
    for name in ("v2", "v2-s2"):
        taught, alone = found[name], found[name.replace("v2", "v2-alone")]
        assert (taught.seed, taught.arch) == (alone.seed, alone.arch)
        assert taught.teacher["label"] == "v1"
        assert taught.distill["alpha"] == 0.7
        assert (alone.teacher, alone.distill) == ({}, {})
    assert found["v2"].seed != found["v2-s2"].seed
    repeat, chosen = found[f"{best}-s2"], found[best]
    assert (repeat.role, repeat.repeat_of, repeat.number) == ("repeat", best, None)
    assert (repeat.arch, repeat.distill) == (chosen.arch, chosen.distill)
    assert chosen.seed == found["v2"].seed
    assert repeat.seed == found["v2-s2"].seed
    assert all(found[label].ap for label in ("v2-s2", "v2-alone-s2", f"{best}-s2"))


def test_references_alone_with_another_teacher_and_start(stub: Stub, tmp_path: Path) -> None:
    """A second teacher is compared on the references only; every student starts from the same backbone."""
    start, weights = tmp_path / "start.safetensors", tmp_path / "wide.safetensors"
    save_weights(build(ARCHS["v2"]), start)
    save_weights(build(ARCHS["v2_as_written"]), weights)
    given = {"teacher": f"v2_as_written:{weights}", "init_backbone": start}
    folder = stub.study(trials=0, resources=given)
    found = records(folder)
    assert list(found) == ["v2_as_written", "v2"]
    assert found["v2"].teacher["label"] == "v2_as_written"
    manifest = Manifest.load(folder)
    assert (manifest.teacher.label, manifest.start.kind, manifest.standing.best) == ("v2_as_written", "file", None)
    with pytest.raises(InputError, match=r"start of the backbones file .*, not teacher"):
        stub.study(trials=0, resources={"teacher": given["teacher"]})


def test_students_start_from_the_backbone_of_a_teacher_that_was_trained(stub: Stub, tmp_path: Path) -> None:
    """``--init-backbone`` is where V1 starts; its students start from V1."""
    start, plan = tmp_path / "start.safetensors", Plan()
    save_weights(build(ARCHS["v2"]), start)
    manifest = Manifest.load(stub.study(plan, trials=0, resources={"init_backbone": start}))
    assert (manifest.start.kind, manifest.start.digest) == ("teacher", manifest.teacher.digest)
    begun = plan.jobs["v2"].init_backbone
    assert begun is not None
    assert file_digest(begun) == manifest.teacher.digest != file_digest(start)


def test_a_candidate_is_trained_by_the_schedule_that_its_axes_set(stub: Stub) -> None:
    """References have the study's schedule; a candidate's record and job have its own."""
    plan = Plan()
    folder = stub.study(plan, space="recipe", budget=Budget(max_params=256_156), trials=3)
    found = records(folder)
    assert TrainConfig(**found["v2"].train) == QUICK.train
    for record in (record for record in found.values() if record.role == "candidate"):
        axes = {name.removeprefix("train."): value for name, value in record.configuration.items()}
        assert len(axes) == 9
        assert record.train == {**asdict(QUICK.train), **axes}
        assert plan.jobs[record.label].train == TrainConfig(**record.train)
    assert len({digest(record.train) for record in found.values()}) == 4


def test_epochs_without_an_evaluation_prune_nothing(stub: Stub) -> None:
    """Halving judges after epochs 1, 2 and 4; of a schedule that is evaluated every third, it sees 3 and the last."""
    schedule = replace(QUICK.train, epochs=4, evaluate_every=3)
    folder = stub.study(Plan(), pruner="halving", trials=6, train=schedule)
    for trial, record in zip(trials(folder), list(records(folder).values())[-6:], strict=True):
        assert [bool(info["ap"]) for info in record.epochs] == [False, False, True, True][: len(record.epochs)]
        assert list(trial.intermediate_values) == [3, 4][: len(trial.intermediate_values)]
        assert len(record.epochs) >= 3


def test_the_manifest_says_what_is_searched(stub: Stub) -> None:
    folder = stub.study()
    manifest, space = Manifest.load(folder), load_space("v2_light")
    assert (manifest.space.digest, manifest.space.size) == (space.digest(), space.size())
    assert manifest.space.feasible == SpaceCounts(space).feasible(Budget())
    assert {split: images.images for split, images in manifest.data.items()} == {"train": 32, "search": 24, "val": 24}
    assert manifest.standing.proposals == {"uniform": 4}
    assert (manifest.standing.wasted, manifest.standing.repeated) == (0, 0)
    assert manifest.search_protocol["digest"] != manifest.protocol["digest"]
    for record in records(folder).values():
        assert record.protocol["digest"] == manifest.protocol["digest"]
        assert record.search_protocol["digest"] == manifest.search_protocol["digest"]
    with np.load(folder / "examples.npz", allow_pickle=False) as examples:
        assert {f"found_{label}_0" for label in ("v1", "v2", manifest.standing.best)} <= set(examples)
        assert examples["image_0"].dtype == np.uint8


def test_one_process_runs_a_study(stub: Stub) -> None:
    folder = stub.study(trials=1)
    with single_writer(folder), pytest.raises(InputError, match="is in use"):
        stub.study(trials=1)


def test_trials_and_folder_belong_together(stub: Stub, tmp_path: Path) -> None:
    folder = stub.study(trials=2)
    storage = {"storage": f"sqlite:///{tmp_path / 'other.db'}"}
    with pytest.raises(InputError, match="has a trial 0001 and its storage only 0 trials: give the --storage it was"):
        stub.study(trials=2, resources=storage)
    (folder / "study.db").rename(tmp_path / "other.db")
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="the storage holds 2 trials of 'stub' without records in"):
        stub.study(trials=2, resources=storage)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [SEARCH, {**DOMINATED, "pruner": "dominated"}], ids=["one", "several objectives"])
def test_lost_records_are_made_again(stub: Stub, changes: dict[str, Any]) -> None:
    """Whatever the number of workers, and also if that is interrupted."""
    folder = stub.study(**changes)
    whole = outcome(folder)
    pruned = [label for label, (state, *_) in whole.items() if state == "pruned"]
    lost = sorted({*pruned[:2], "0000", "0003", "v2"})
    for label in lost:
        (folder / "trials" / label / "record.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        stub.study(Plan(interrupt=3), workers=3, **changes)
    plan = Plan()
    stub.study(plan, workers=3, **changes)
    assert outcome(folder) == whole
    assert {*lost} - {"0000"} <= {*plan.trained} <= {*lost, Manifest.load(folder).standing.best}
    assert f"{lost[-2]}: its record was lost, and is made again" in stub.lines
    assert Manifest.load(folder).standing.trials["wanted"] == changes["trials"]


def test_a_failed_trial_whose_record_is_lost_has_failed(stub: Stub) -> None:
    folder = stub.study(Plan(fail={("0001", 1): NonFiniteLossError("nan")}))
    (folder / "trials" / "0001" / "record.json").unlink()
    plan = Plan()
    stub.study(plan)
    assert records(folder)["0001"].reason == "it failed; the record that said why was lost"
    assert plan.trained == []
    stub.study()


def test_a_lost_record_that_cannot_be_made_again_ends_the_run(stub: Stub) -> None:
    folder = stub.study()
    (folder / "trials" / "0001" / "record.json").unlink()
    for _ in range(2):
        with pytest.raises(
            HarnessError, match="0001: trained again without its record, it does not end as the storage"
        ):
            stub.study(Plan(ap={"0001": [0.1, 0.2]}))


ALTERED: dict[str, tuple[str, dict[str, Any], str]] = {
    "state": ("0001", {"state": "failed"}, r"0001/record\.json says that the trial is failed, the storage complete"),
    "role": ("0001", {"role": "boss"}, r"0001/record\.json is not a trial record: its role is 'boss'"),
    "another role": ("0001", {"role": "reference"}, r"0001/record\.json is not of trial 1 in the storage"),
    "type": ("0001", {"params": "many"}, r"record\.json is not a trial record: params is 'many', which is not int"),
    "label": (
        "0001",
        {"label": "0002"},
        r"0001/record\.json is the record of '0002': it lies in the folder of another",
    ),
    "number": ("0001", {"number": 2}, r"0001/record\.json is not of trial 2 in the storage"),
    "configuration": ("0001", {"configuration": {}}, r"0001/record\.json is not of trial 1 in the storage"),
    "a further trial": ("0001", {"number": 9}, "has a trial 0009 and its storage only 4 trials"),
}


@pytest.mark.parametrize("case", ALTERED)
@pytest.mark.parametrize("by_hand", [True, False])
def test_an_altered_record_is_refused(stub: Stub, case: str, by_hand: bool) -> None:
    """By hand, or by a program that knows how the file is protected."""
    folder = stub.study()
    name, change, said = ALTERED[case]
    path = folder / "trials" / name / "record.json"
    if by_hand:
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
        said = r"record\.json was changed after it was written: its content does not match its digest"
    else:
        write_sealed(path, read_sealed(path) | change)
    with pytest.raises(InputError, match=f"{said}.*put the original back|{said}: give the --storage"):
        stub.study()
    path.unlink()
    stub.study()
    assert records(folder)[name].state == "complete"


def test_a_search_ends_when_every_configuration_that_fits_was_tried(stub: Stub) -> None:
    space = load_space("v1_to_v2")
    totals = sorted(filter(None, map(SpaceCounts(space).total, space.enumerate())))
    fit = sum(total <= totals[2] for total in totals)
    found = Manifest.load(stub.study(trials=9, space="v1_to_v2", budget=Budget(totals[2]))).standing.trials
    assert (found["complete"], found["wanted"]) == (fit, fit)
    assert f"all {fit} configurations that fit the budget were tried" in stub.lines
