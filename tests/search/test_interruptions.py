"""Workers that end in any order, are killed or fail, and runs that are interrupted: nothing is lost."""

import errno
import itertools
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli
from harness.core.manifest import Manifest
from harness.core.record import TrialRecord
from harness.errors import HarnessError, InputError, NonFiniteLossError, Preempted
from tests.search.stub import QUICK, SEARCH, Plan, Stub, outcome, records, trials

pytestmark = pytest.mark.slow


def test_the_trials_do_not_depend_on_the_workers_and_their_timing(stub: Stub) -> None:
    folder = stub.study(workers=1, name="alone", **SEARCH)
    alone = outcome(folder)
    assert {trial.user_attrs["source"] for trial in trials(folder)} >= {"uniform", "sampler"}
    assert {"complete", "pruned"} == {state for state, *_ in alone.values()}
    for workers, order in ((2, 1), (3, 2), (8, 3)):
        folder = stub.study(Plan(order=order), workers=workers, name=f"with-{workers}", **SEARCH)
        assert outcome(folder) == alone, f"{workers} workers"


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
    folder = stub.study()
    assert outcome(folder) == undisturbed
    assert Manifest.load(folder).standing.timing["overhead_share"] >= 0, "a training takes no longer than its trial"


def test_a_killed_worker_costs_nothing(stub: Stub) -> None:
    undisturbed = outcome(stub.study(name="whole"))
    folder = stub.study(Plan(fail={("0001", 2): "its process was killed by SIGKILL"}))
    assert "0001: its process was killed by SIGKILL; it continues from its last checkpoint" in stub.lines
    assert outcome(folder) == undisturbed


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
