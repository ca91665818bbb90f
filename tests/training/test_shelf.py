"""Tensors on disk that are computed once: what is read is what was computed, and the disk is never filled."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.training.shelf import Shelf, Tensors

STEPS = 3


def item(index: int) -> Tensors:
    return {"ints": torch.arange(index, index + 4, dtype=torch.uint8), "floats": torch.full((2, 5), index / 3)}


BYTES = STEPS * (4 + 2 * 5 * 4)


def counted(made: list[int]) -> Callable[[int], Callable[[], Tensors]]:
    def at(index: int) -> Callable[[], Tensors]:
        def make() -> Tensors:
            made.append(index)
            return item(index)

        return make

    return at


def run(shelf: Shelf, made: list[int], steps: int = STEPS) -> list[Tensors]:
    sequence, make = shelf.epoch(1, STEPS), counted(made)
    return [sequence.item(index, make(index)) for index in range(steps)]


def test_a_second_training_reads_what_the_first_has_computed(tmp_path: Path) -> None:
    made: list[int] = []
    first = run(Shelf(tmp_path, "a"), made)
    assert made == [0, 1, 2]
    second = run(Shelf(tmp_path, "a"), made)
    assert made == [0, 1, 2], "nothing is computed again"
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) and one[key].dtype == other[key].dtype for key in one)
    run(Shelf(tmp_path, "b"), made)
    assert made == [0, 1, 2, 0, 1, 2], "another name is another sequence"


def test_an_epoch_that_was_interrupted_is_not_used(tmp_path: Path) -> None:
    made: list[int] = []
    run(Shelf(tmp_path, "a"), made, steps=2)
    run(Shelf(tmp_path, "a"), made)
    assert made == [0, 1, 0, 1, 2]
    run(Shelf(tmp_path, "a"), made)
    assert len(made) == 5


def test_a_file_that_is_lost_or_damaged_is_computed_again(tmp_path: Path) -> None:
    made: list[int] = []
    run(Shelf(tmp_path, "a"), made)
    (tmp_path / "a" / "0001" / "00001.safetensors").unlink()
    (tmp_path / "a" / "0001" / "00002.safetensors").write_bytes(b"{")
    found = run(Shelf(tmp_path, "a"), made)
    assert made == [0, 1, 2, 1, 2]
    assert all(torch.equal(found[index]["floats"], item(index)["floats"]) for index in range(STEPS))


def test_an_epoch_that_begins_in_its_middle_is_not_kept(tmp_path: Path) -> None:
    made: list[int] = []
    sequence, make = Shelf(tmp_path, "a").epoch(1, STEPS), counted(made)
    for index in range(1, STEPS):
        sequence.item(index, make(index))
    assert not (tmp_path / "a").exists()
    run(Shelf(tmp_path, "a"), made)
    assert Shelf(tmp_path, "a").epoch(1, STEPS).complete


def test_a_folder_that_is_removed_meanwhile_is_no_error(tmp_path: Path) -> None:
    made: list[int] = []
    sequence, make = Shelf(tmp_path, "a").epoch(1, STEPS), counted(made)
    for index in range(STEPS):
        sequence.item(index, make(index))
        shutil.rmtree(tmp_path / "a", ignore_errors=True)
    run(Shelf(tmp_path, "a"), made)
    assert made == [0, 1, 2] * 2


def test_what_a_killed_training_left_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / "a" / f"0001.{gone.pid}.partial"
    left.mkdir(parents=True)
    run(Shelf(tmp_path, "a"), [])
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["0001"]


def test_two_trainings_at_once_do_not_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    one, make = Shelf(tmp_path, "a").epoch(1, STEPS), counted(made)
    monkeypatch.setattr(os, "getpid", lambda: 7)
    other = Shelf(tmp_path, "a").epoch(1, STEPS)
    for index in range(STEPS):
        one.item(index, make(index))
        other.item(index, make(index))
    assert len(made) == 6
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["0001"]
    assert Shelf(tmp_path, "a").epoch(1, STEPS).complete


def test_what_does_not_fit_is_computed_and_not_kept(tmp_path: Path) -> None:
    made: list[int] = []
    for _ in range(2):
        run(Shelf(tmp_path, "a", limit=BYTES - 1), made)
    assert len(made) == 6
    assert not (tmp_path / "a").exists()


def test_room_is_made_by_removing_what_was_not_used_for_long(tmp_path: Path) -> None:
    for name in ("old", "recent"):
        run(Shelf(tmp_path, name), [])
    os.utime(tmp_path / "old", (time.time() - 7_200,) * 2)
    full = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    run(Shelf(tmp_path, "new", limit=full), [])
    assert {path.name for path in tmp_path.iterdir()} == {"recent", "new"}
    run(Shelf(tmp_path, "more", limit=full), [])
    assert not (tmp_path / "more").exists(), "what is in use stays"


def test_sequences_that_another_process_completes_meanwhile_are_no_error(tmp_path: Path) -> None:
    run(Shelf(tmp_path, "moving"), [])
    one, other = tmp_path / "moving" / "0001", tmp_path / "moving" / "0001.partial"
    ended = threading.Event()

    def move() -> None:
        while not ended.is_set():
            one.rename(other)
            other.rename(one)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for number in range(300):
            Shelf(tmp_path, f"new-{number}").epoch(1, 2).item(0, lambda: item(0))
    finally:
        ended.set()
        mover.join()


@pytest.mark.parametrize("where", [-1, 4, 60])
def test_a_damaged_item_is_computed_again(tmp_path: Path, where: int) -> None:
    first = run(Shelf(tmp_path, "a"), [])
    path = tmp_path / "a" / "0001" / "00001.safetensors"
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    made: list[int] = []
    again = run(Shelf(tmp_path, "a"), made)
    assert made == [1]
    assert all(torch.equal(one[key], other[key]) for one, other in zip(first, again, strict=True) for key in one)
