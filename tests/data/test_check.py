import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from harness.data.__main__ import main
from harness.data.check import histogram, inspect
from harness.errors import DataError, InputError
from tests.data.tiny_widerface import NO_POINTS


def check(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, dict[str, dict[str, Any]]]:
    code = main([*map(str, ("check", *arguments)), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("layout", ["retinaface", "official"])
def test_a_valid_copy(
    layout: str, request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = check(capsys, request.getfixturevalue(layout), "--sheets", tmp_path / "sheets")
    assert code == 0
    assert said["accepted"]
    assert said["absent"] == said["broken"] == {}
    train, val = said["splits"]["train"], said["splits"]["val"]
    assert (train["images"], train["annotated"], train["faces"]) == (4, 4, 4)
    assert train["landmarks"] == (3 if layout == "retinaface" else 0)
    assert train["heights"]["8-16"] == 1
    assert train["heights"]["16-32"] == 2
    assert train["heights"]["32-64"] == 1
    assert val["listed"] == {"easy": 2, "medium": 3, "hard": 3}
    assert train["faults"] == val["faults"] == []
    for split in (train, val):
        sheet = cv2.imread(split["sheet"])
        assert sheet is not None
        assert min(sheet.shape[:2]) >= 200


def test_every_fault_is_reported_with_its_line(
    retinaface: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    label = retinaface / "train" / "label.txt"
    more = ["1 2 3", f"1 1 0 5 {NO_POINTS} 0", "# 0--Parade/missing.jpg", "# caf\udce9/x.jpg", f"a 2 3 4 {NO_POINTS} 0"]
    label.write_text(label.read_text() + "\n".join(more) + "\n", errors="surrogateescape")
    (retinaface / "train" / "images" / "0--Parade" / "a.jpg").write_bytes(b"\xff\xd8 broken \xff\xd9")
    code, said = check(capsys, retinaface, "--split", "train", "--sheets", tmp_path)
    assert code == 2
    faults = said["splits"]["train"]["faults"]
    places = [fault.removeprefix(f"{label}:").split(":")[0] for fault in faults]
    assert places == ["1", "9", "10", "11", "12", "13"]
    assert f"{label}:9: has 3 numbers" in said["splits"]["train"]["refused"]
    assert said["splits"]["train"]["images"] == 3
    assert main(["check", str(retinaface), "--sheets", str(tmp_path)]) == 2
    printed = capsys.readouterr().out
    assert "REFUSED" in printed
    assert "caf\\udce9" in printed
    assert all(f"label.txt:{line}:" in printed for line in places)


def test_too_many_unreadable_images_are_refused(retinaface: Path) -> None:
    (retinaface / "train" / "images" / "0--Parade" / "a.jpg").unlink()
    report = inspect(retinaface, "train")
    assert report.refused == "1 of 4 images are missing or unreadable, more than 5%"
    assert report.images == 3


def test_no_image_at_all_still_reports(retinaface: Path) -> None:
    for path in (retinaface / "train" / "images").rglob("*.jpg"):
        path.unlink()
    report = inspect(retinaface, "train")
    assert report.images == 0
    assert len(report.faults) == 4
    assert report.sheet is None


def test_a_copy_without_validation_can_be_used_and_half_a_one_not(
    retinaface: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(retinaface / "ground_truth")
    code, said = check(capsys, retinaface, "--sheets", tmp_path)
    assert code == 2
    assert "eval_tools.zip" in said["broken"]["val"]
    shutil.rmtree(retinaface / "val")
    code, said = check(capsys, retinaface, "--sheets", tmp_path)
    assert code == 0
    assert "val/images/" in said["absent"]["val"]


def test_nothing_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no WIDER FACE train split"):
        main(["check", str(tmp_path), "--sheets", str(tmp_path / "sheets")])


def test_heights_are_counted_by_range() -> None:
    assert sum(histogram(np.zeros(0)).values()) == 0
    counts = histogram(np.array([1.9, 2, 15.9, 16, 256, 900]))
    assert counts == {
        "0-2": 1, "2-4": 1, "4-8": 0, "8-16": 1, "16-32": 1, "32-64": 0, "64-128": 0, "128-256": 0, "256-": 2
    }  # fmt: skip


def test_sheets_that_cannot_be_written_are_refused_first(retinaface: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--sheets: .* is not a writable folder"):
        main(["check", str(retinaface), "--sheets", str(tmp_path / "file" / "sheets")])
