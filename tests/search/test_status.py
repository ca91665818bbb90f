"""How far a study is, as ``--status`` tells it while the study runs and afterwards."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.core.manifest import Manifest
from harness.core.record import load_records
from harness.core.scores import FILE
from harness.errors import InputError
from harness.search.status import Status, status
from harness.study import main
from harness.training.job import Job
from tests.search.stub import Plan, Stub
from tests.search.test_shared import STUDY

pytestmark = pytest.mark.slow


@dataclass
class Watched(Plan):
    """Trainings that ask for the status when a network has ended an epoch."""

    runs: Path = Path()
    at: tuple[str, int] = ("", 0)
    seen: list[Status] = field(default_factory=list)

    def mean(self, job: Job, epoch: int) -> float:
        if (job.label, epoch) == self.at and not self.seen:
            self.seen.append(status("stub", self.runs, None))
        return super().mean(job, epoch)


def test_a_running_study_tells_its_trainings_its_best_and_the_time_left(stub: Stub) -> None:
    plan = Watched(runs=stub.runs, at=("0002", 2))
    folder = stub.study(plan, workers=1)
    [seen] = plan.seen
    assert seen.state == "running"
    board = seen.board
    assert (board.made, board.states["running"], board.wanted) == (2, 1, 4)
    [running] = board.running.values()
    assert (running.label, running.epoch, running.epochs) == ("0002", 1, 2)
    assert [one.label for one in board.ended if one.role == "candidate"] == sorted(
        ("0000", "0001"), key=lambda label: -plan.mean(plan.jobs[label], 2)
    )
    assert board.best is not None
    assert board.best[0] == next(one.label for one in board.ended if one.role == "candidate")
    assert board.seconds_left is not None
    assert board.seconds_left >= 0
    assert seen.to_dict()["running"][0]["label"] == "0002"
    assert seen.summary().startswith("stub: running (process ")

    ended = status("stub", stub.runs, None)
    assert (ended.state, ended.by, ended.report) == ("ended", "", str(folder / "report" / "report.md"))
    assert (ended.board.made, ended.board.running, ended.board.seconds_left) == (4, {}, None)


def test_an_interrupted_study_and_one_that_is_prepared(stub: Stub) -> None:
    with pytest.raises(KeyboardInterrupt):
        stub.study(Plan(interrupt=5), workers=1)
    found = status("stub", stub.runs, None)
    assert (found.state, found.board.running) == ("interrupted", {})
    assert found.board.made < found.board.wanted
    (stub.runs / "new").mkdir()
    (stub.runs / "new" / "lock").touch()
    assert status("new", stub.runs, None).summary().startswith("new: preparing: ")


def test_the_status_of_a_study_that_scores_changes_none_of_its_files(
    stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stub.study(**STUDY)
    standing = Manifest.load(folder).standing
    assert standing.trainings == len(load_records(folder)) - 1, "all but the teacher's"
    with (folder / FILE).open("a") as file:
        file.write('{"number": 99')  # As another process may be writing it.
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main(["--status", "stub", "--runs", str(stub.runs), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    trials = found["scored"]["wanted"]
    assert found["scored"]["done"] == trials > 0
    assert (found["state"], found["trials"]["complete"]) == ("ended", found["trials"]["wanted"])
    assert main(["--status", "stub", "--runs", str(stub.runs)]) == 0
    assert f"stub: ended · {trials} of {trials} candidates scored · " in capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_what_is_not_there_is_named(stub: Stub) -> None:
    with pytest.raises(InputError, match=r"runs holds no study"):
        status("stub", stub.runs, None)
    folder = stub.study()
    with pytest.raises(InputError, match=r"unknown study in .*runs: 'stubb'; did you mean 'stub'\?"):
        status("stubb", stub.runs, None)
    shutil.copytree(folder, stub.runs / "copy")
    with pytest.raises(InputError, match=r"storage 'sqlite:///.*study\.db' holds no study 'copy'"):
        status("copy", stub.runs, None)
    (folder / "study.db").unlink()
    with pytest.raises(InputError, match=r"study\.db does not exist: give the --storage"):
        status("stub", stub.runs, None)
