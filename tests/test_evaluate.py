"""The command as a shell sees it: what it prints, writes and refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from harness import evaluate
from harness.builder import build, resolve_arch
from harness.errors import InputError
from harness.weights import save_weights

ROOT = os.environ.get("WIDERFACE_ROOT", "")


def column(items: list[object]) -> np.ndarray:
    cell = np.empty((len(items), 1), dtype=object)
    for row, item in enumerate(items):
        cell[row, 0] = item
    return cell


@pytest.fixture
def wider(tmp_path: Path) -> Path:
    """One event of two images: a face each; the first is on all lists, the second on medium and hard only."""
    truth, found = tmp_path / "ground_truth", tmp_path / "found"
    truth.mkdir()
    (found / "0--Parade").mkdir(parents=True)
    boxes = [np.array([[10, 10, 19, 19]]), np.array([[40, 40, 29, 29]])]
    whole = {"event_list": column(["0--Parade"]), "file_list": column([column(["a", "b"])])}
    savemat(truth / "wider_face_val.mat", whole | {"face_bbx_list": column([column(list(boxes))])})
    for name, second in (("easy", []), ("medium", [1]), ("hard", [1])):
        kept = column([np.array([[1]]), np.array(second, dtype=np.uint8).reshape(-1, 1)])
        savemat(truth / f"wider_{name}_val.mat", {"gt_list": column([kept])})
    (found / "0--Parade/a.txt").write_text("a\n1\n10 10 19 19 0.9\n")
    (found / "0--Parade/b.txt").write_text("b\n1\n0 0 5 5 0.8\n")
    return tmp_path


def test_prediction_files(wider: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = wider / "new" / "pr.png"
    arguments = ["--predictions", str(wider / "found"), "--ground-truth", str(wider / "ground_truth")]
    assert evaluate.main([*arguments, "--json", "--plot", str(picture)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["easy"] == 1.0
    assert answer["medium"] == answer["hard"] == 0.5
    assert answer["mean"] == pytest.approx(2 / 3)
    assert (answer["images"], answer["faces"]) == (2, 2)
    assert answer["seconds"] > 0
    assert answer["protocol"]["evaluator"] == "widerface-1"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_table(wider: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.main(["--predictions", str(wider / "found"), "--ground-truth", str(wider / "ground_truth")])
    out = capsys.readouterr().out
    assert "100.00    50.00    50.00    66.67" in out
    assert "evaluator widerface-1" in out


def test_an_image_list_narrows_and_changes_the_protocol(wider: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (wider / "list.txt").write_text("0--Parade/b.jpg\n")
    arguments = ["--predictions", str(wider / "found"), "--ground-truth", str(wider / "ground_truth"), "--json"]
    evaluate.main(arguments)
    whole = json.loads(capsys.readouterr().out)
    evaluate.main([*arguments, "--images", str(wider / "list.txt")])
    part = json.loads(capsys.readouterr().out)
    assert (part["easy"], part["hard"], part["mean"], part["images"]) == (None, 0.0, None, 1)
    assert part["protocol"]["digest"] != whole["protocol"]["digest"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to evaluate"),
        (["--predictions", "x"], "--ground-truth must be given with --predictions"),
        (["--arch", "v2"], "--weights and --data must be given with --arch"),
        (["--predictions", "x", "--side", "320"], "give one of the two"),
        (["--arch", "v2", "--weights", "x", "--data", "synthetic", "--limit", "0"], "--limit must be at least 1"),
        (["--arch", "v2", "--weights", "x", "--data", "synthetic", "--side", "-3"], "eval_side must not be negative"),
        (["--arch", "v9", "--weights", "x", "--data", "synthetic"], "unknown arch 'v9'"),
        (["--arch", "v2", "--weights", "no.pth", "--data", "synthetic"], r"no\.pth"),
        (["--predictions", "x", "--ground-truth", "y", "--plot", "z.txt"], r"--plot writes \.png"),
        (["--predictions", "x", "--ground-truth", "y"], r"y/wider_face_val\.mat is missing"),
    ],
)
def test_bad_input_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        evaluate.main(arguments)


def test_the_shell_sees_one_line_and_code_2(wider: Path) -> None:
    (wider / "found/0--Parade/a.txt").write_text("a\n1\n10 10 19 19 nan\n")
    command = [sys.executable, "-m", "harness.evaluate", "--predictions", str(wider / "found")]
    done = subprocess.run(
        [*command, "--ground-truth", str(wider / "ground_truth")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: 0--Parade/a: detection 1 is not finite")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not ROOT, reason="WIDERFACE_ROOT does not name a copy of the real images")
def test_a_network_on_real_images_and_its_files_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    save_weights(build(resolve_arch("v2")), tmp_path / "w.safetensors")
    network = ["--arch", "v2", "--weights", str(tmp_path / "w.safetensors"), "--data", ROOT, "--side", "160"]
    files = tmp_path / "files"
    evaluate.main([*network, "--limit", "6", "--runs", str(tmp_path), "--write", str(files), "--json"])
    first = json.loads(capsys.readouterr().out)
    assert first["images"] == 6
    assert first["protocol"]["eval_side"] == 160
    names = sorted(str(path.relative_to(files)) for path in files.rglob("*.txt"))
    (tmp_path / "list.txt").write_text("\n".join(names))
    truth = str(Path(ROOT) / "ground_truth")
    images = str(tmp_path / "list.txt")
    evaluate.main(["--predictions", str(files), "--ground-truth", truth, "--images", images, "--json"])
    second = json.loads(capsys.readouterr().out)
    assert second["hard"] == pytest.approx(first["hard"], abs=1e-4)
    assert second["faces"] == first["faces"]
