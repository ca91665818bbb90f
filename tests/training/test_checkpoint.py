"""Checkpoints on disk; how trainings resume from them is tested in ``test_loop``."""

import logging
import os
import re
from pathlib import Path

import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import TrainConfig
from harness.errors import DataError
from harness.training.checkpoint import CHECKPOINT, EARLIER, load_network, read_checkpoint, write_checkpoint
from harness.training.job import Job

CPU = torch.device("cpu")
MINE = {"seed": 0, "arch": "v2"}


def epoch(number: int) -> dict[str, object]:
    return {"identity": MINE, "epoch": number}


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job("v2", ARCHS["v2"], 0, TrainConfig(), DataConfig(), EvalConfig(), tmp_path, tmp_path)


def test_a_missing_checkpoint_is_named(job: Job) -> None:
    with pytest.raises(DataError, match=r"there is no checkpoint .*last\.pt"):
        load_network(job)


def test_an_unreadable_checkpoint_is_named(job: Job) -> None:
    (job.folder / CHECKPOINT).write_bytes(b"half a fi")
    with pytest.raises(DataError, match=r"last\.pt is not a readable checkpoint"):
        load_network(job)


def test_a_network_in_the_middle_of_an_epoch_is_not_one_after_an_epoch(job: Job) -> None:
    write_checkpoint(job.folder, epoch(1) | {"partway": {"steps": 1}})
    with pytest.raises(DataError, match=r"last\.pt was written within an epoch: continue the training"):
        load_network(job)


def test_a_checkpoint_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is synced before it gets its name, and the folder after every change of names."""
    synced: list[list[str]] = []

    def sync(descriptor: int) -> None:
        of = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append(sorted(path.name for path in of.iterdir()) if of.is_dir() else [of.suffix])

    write_checkpoint(tmp_path, epoch(1))
    monkeypatch.setattr(os, "fsync", sync)
    write_checkpoint(tmp_path, epoch(2))
    assert synced == [[".partial"], ["last.pt", "next-last.pt"], ["before.pt", "last.pt"]]


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / "next-last.pt.123.partial").write_bytes(b"half of it")
    for number in (1, 2, 3, 4):
        write_checkpoint(tmp_path, epoch(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == [EARLIER, CHECKPOINT]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (b"half of it", "last.pt is not a readable checkpoint"),
        (None, r"last.pt was written by another training \(it differs in seed\)"),
    ],
)
def test_what_cannot_be_used_is_set_aside_and_the_one_before_it_used(
    damage: bytes | None, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        write_checkpoint(tmp_path, epoch(number))
    if damage is None:
        torch.save({"identity": MINE | {"seed": 1}}, tmp_path / CHECKPOINT)
    else:
        (tmp_path / CHECKPOINT).write_bytes(damage)
    written = (tmp_path / CHECKPOINT).read_bytes()
    with caplog.at_level(logging.WARNING):
        assert read_checkpoint(tmp_path, MINE, CPU) == epoch(2)
    assert len(caplog.messages) == 1
    assert re.search(said, caplog.text)
    assert "renamed to last.pt.unusable, and the training goes on without it" in caplog.text
    assert (tmp_path / "last.pt.unusable").read_bytes() == written
    write_checkpoint(tmp_path, epoch(3))
    assert read_checkpoint(tmp_path, MINE, CPU) == epoch(3)


def test_without_any_that_can_be_used_the_training_starts_again(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path, MINE, CPU) is None
    for name in (CHECKPOINT, EARLIER):
        (tmp_path / name).write_bytes(b"half of it")
    assert read_checkpoint(tmp_path, MINE, CPU) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before.pt.unusable", "last.pt.unusable"]


def test_a_full_disk_leaves_the_checkpoint_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        write_checkpoint(tmp_path, epoch(number))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(tmp_path, epoch(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == [EARLIER, CHECKPOINT]
    assert read_checkpoint(tmp_path, MINE, CPU) == epoch(2)
