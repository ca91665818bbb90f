"""Copies with files that are no files: what the check accepts can be trained on, and nothing waits or fills memory."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.data import load_split
from harness.data.check import inspect
from harness.data.decode import UnreadableImageError, read_image
from harness.data.truth import load_ids
from harness.data.widerface import find_layout, fingerprint
from harness.errors import DataError
from harness.evaluation.predictions import load_predictions
from tests.data.test_load_split import config


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail after some seconds, also while the system waits for a file."""

    def late(*_: object) -> None:
        raise AssertionError(f"takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "is not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "a folder": (Path.mkdir, "is not a regular file"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "is missing"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_file_in_place_of_an_image_is_a_fault(retinaface: Path, case: str) -> None:
    make, said = ODD[case]
    path = retinaface / "train" / "images" / "0--Parade" / "a.jpg"
    path.unlink()
    make(path)
    with within(10):
        with pytest.raises(UnreadableImageError, match=said):
            read_image(path)
        report = inspect(retinaface, "train")
    assert report.images == 3
    assert re.search(said, report.faults[0])


@pytest.mark.parametrize("case", [*ODD, "a link to a folder above"])
def test_odd_files_that_no_label_names_do_no_harm(retinaface: Path, tmp_path: Path, case: str) -> None:
    path = retinaface / "train" / "images" / "more"
    if case in ODD:
        ODD[case][0](path)
    else:
        path.symlink_to("..")
    with within(20):
        assert inspect(retinaface, "train").refused == ""
        assert len(load_split(config(retinaface), "train", tmp_path / "cache")) == 3
        assert fingerprint(find_layout(retinaface, "train")) == fingerprint(find_layout(retinaface, "train"))


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_names_that_no_file_can_have_are_faults(retinaface: Path, tmp_path: Path, name: str) -> None:
    labels = retinaface / "train" / "label.txt"
    labels.write_text(f"{labels.read_text()}# 0--Parade/{name}.jpg\n1 2 30 40\n")
    report = inspect(retinaface, "train")
    assert len(report.faults) == 1
    assert report.refused
    with pytest.raises(DataError, match=r"label\.txt"):
        load_split(config(retinaface), "train", tmp_path / "cache")


@pytest.mark.parametrize("case", ODD)
def test_an_odd_label_file_is_refused(retinaface: Path, case: str) -> None:
    labels = retinaface / "train" / "label.txt"
    labels.unlink()
    ODD[case][0](labels)
    with within(10), pytest.raises(DataError, match=r"train/label\.txt"):
        inspect(retinaface, "train")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_refused_by_the_check_too(retinaface: Path) -> None:
    hidden = retinaface / "train" / "images" / "hidden"
    hidden.mkdir(mode=0)
    with pytest.raises(DataError, match=r"hidden cannot be read \(Permission denied\)"):
        inspect(retinaface, "train")


@pytest.mark.parametrize("case", ODD)
def test_odd_prediction_files_and_lists_are_refused(tmp_path: Path, case: str) -> None:
    odd = tmp_path / "found" / "a.txt"
    odd.parent.mkdir()
    ODD[case][0](odd)
    with within(10):
        with pytest.raises(DataError, match=r"a\.txt"):
            load_predictions(tmp_path / "found", ["a"])
        with pytest.raises(DataError, match=r"image list .*a\.txt cannot be read"):
            load_ids(odd)
        if case != "a folder":
            with pytest.raises(DataError, match="do not exist"):
                load_predictions(odd, ["a"])
