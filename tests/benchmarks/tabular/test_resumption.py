"""A table that is interrupted, continued, or whose trainings are killed or fail."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.tabular.graded import Graded
from harness.core.sealed import read_sealed, write_sealed
from harness.core.table import Table
from harness.errors import DataError, HarnessError, InputError, NonFiniteLossError
from tests.benchmarks.tabular.stub import EPOCHS, Disk, made
from tests.pool import KilledError, Steps

KILLED = KilledError("its process was killed")


@pytest.mark.parametrize("event", range(0, 18, 3))
def test_an_interrupted_run_resumes_to_the_same_table(
    runs: Path, event: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = made(runs, Disk(), monkeypatch)
    wanted = whole.read_bytes()
    whole.unlink()
    (next(runs.glob("tabular-*"))).rename(tmp_path / "earlier")
    disk = Disk(interrupt=event)
    with pytest.raises(KeyboardInterrupt):
        made(runs, disk, monkeypatch)
    disk.interrupt = None
    again, _ = made(runs, disk, monkeypatch)
    assert again.read_bytes() == wanted
    assert len(disk.trained) == len(set(disk.trained)) == 6 * EPOCHS, "no epoch was trained twice"


def test_a_kill_between_checkpoint_and_record_loses_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is one epoch ahead of the record."""
    disk = Disk(interrupt=3)
    with pytest.raises(KeyboardInterrupt):
        made(runs, disk, monkeypatch)
    path = next(path for path in runs.glob("tabular-*/trials/*/record.json") if json.loads(path.read_text())["epochs"])
    content = read_sealed(path)
    write_sealed(path, {**content, "epochs": content["epochs"][:-1]})
    disk.interrupt = None
    made(runs, disk, monkeypatch)
    assert len(disk.trained) == 6 * EPOCHS


def test_finished_trainings_are_read(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = made(runs, Disk(), monkeypatch)
    before = out.read_bytes()
    out.unlink()
    disk = Disk()
    made(runs, disk, monkeypatch)
    assert disk.started == []
    assert out.read_bytes() == before


def test_another_machine_continues_the_file(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no records, only the table, in which a training has diverged."""

    def disk(interrupt: int | None = None) -> Disk:
        return Disk(interrupt=interrupt, fail={("0000", 2): NonFiniteLossError("the loss is not finite")})

    out, _ = made(runs, disk(), monkeypatch)
    wanted = out.read_bytes()
    out.unlink()
    next(runs.glob("tabular-*")).rename(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        made(runs, disk(interrupt=13), monkeypatch)
    assert [len(network.trainings) for network in Table.load(out).networks] == [2, 2]
    next(runs.glob("tabular-*")).rename(tmp_path / "part")
    other = disk()
    made(runs, other, monkeypatch)
    assert other.started == ["0001", "0001-s2"]
    assert out.read_bytes() == wanted


def test_a_table_with_another_protocol_is_not_overwritten(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = made(runs, Disk(), monkeypatch)
    other = replace(Table.load(out), training=0, threads=7)
    other.save(out)
    before = out.read_bytes()
    with pytest.raises(InputError, match="is a table with other versions of the training, threads: move it away"):
        made(runs, Disk(), monkeypatch)
    assert out.read_bytes() == before


def test_a_longer_table_continues_a_shorter_one(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    out, _ = made(runs, disk, monkeypatch)
    short = Table.load(out)
    disk.started.clear()
    made(runs, disk, monkeypatch, configurations=3)
    assert disk.started == ["0002", "0002-s2"]
    long = Table.load(out)
    assert [network for network in long.networks if network.label != "0002"] == list(short.networks)


def test_v2_is_trained_first_and_then_network_by_network(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    made(runs, disk, monkeypatch)
    assert disk.started == ["v2", "v2-s2", "0000", "0000-s2", "0001", "0001-s2"]


def test_a_killed_training_continues_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(fail={("0000", 2): KILLED})
    out, shown = made(runs, disk, monkeypatch)
    assert Table.load(out).complete
    assert len(disk.trained) == 6 * EPOCHS
    assert "0000: its process was killed; it continues from its last checkpoint" in shown.lines


def test_a_training_that_is_killed_twice_ends_the_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    work = Disk.work

    def again(self: Disk, graded: Graded) -> Steps:
        self.fail.setdefault(("v2", 2), KILLED)
        return work(self, graded)

    monkeypatch.setattr(Disk, "work", again)
    with pytest.raises(HarnessError, match="v2: its process was killed, for the second time"):
        made(runs, disk, monkeypatch)


def test_a_diverged_training_is_recorded_and_not_repeated(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(fail={("0001", 2): NonFiniteLossError("the loss is not finite")})
    out, _ = made(runs, disk, monkeypatch)
    table = Table.load(out)
    assert table.complete
    trained = next(network for network in table.networks if network.label == "0001").trainings[0]
    assert (trained.state, trained.reason, trained.aps) == ("failed", "the loss is not finite", None)
    assert len(trained.search["mean"]) == 1
    disk.started.clear()
    made(runs, disk, monkeypatch)
    assert disk.started == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [(ZeroDivisionError(), "traceback in .*error.txt"), (DataError("images are gone"), "images are gone")],
)
def test_a_defect_or_a_broken_environment_ends_the_run(
    runs: Path, failure: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HarnessError, match=words):
        made(runs, Disk(fail={("0000", 1): failure}), monkeypatch)


def test_a_folder_of_another_training_is_refused(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(runs, Disk(), monkeypatch)
    path = next(runs.glob("tabular-*/trials/0001/record.json"))
    write_sealed(path, {**read_sealed(path), "training": "0" * 12})
    with pytest.raises(DataError, match="0001 holds another training"):
        made(runs, Disk(), monkeypatch)
