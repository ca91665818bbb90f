"""``harness.data scenes``: pictures of the generator, as studies have them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.data.__main__ import main
from harness.data.synthetic.generate import render_scene
from harness.errors import InputError


def test_scenes_are_the_validation_images_of_a_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a" / "scenes"
    assert main(["scenes", str(folder), "--number", "2", "--seed", "3", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert files == sorted(map(str, folder.iterdir()))
    assert len(files) == 2
    image = cv2.imread(files[1])
    assert image is not None
    np.testing.assert_array_equal(image, render_scene(3, "val", 1).image)


def test_the_next_command_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenes", str(tmp_path), "--number", "1"]) == 0
    assert (
        capsys.readouterr().out == f"scenes in {tmp_path}: 1\nnext: python -m harness.detect {tmp_path} --out found\n"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--number", "0"], "--number lies in 1 … 10,000, got 0"),
        (["--number", "10001"], "--number lies in 1 … 10,000, got 10,001"),
        (["--seed", "-1"], "--seed lies in 0 … 4,294,967,295, got -1"),
    ],
)
def test_numbers_out_of_range_are_refused(options: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        main(["scenes", str(tmp_path / "scenes"), *options])
    assert not (tmp_path / "scenes").exists()
