"""The command as a shell sees it: faces in the picture's pixels, pictures drawn, bad files listed, no PyTorch."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import harness
from harness.data.synthetic.generate import render_scene
from harness.detect import main
from harness.errors import DataError, InputError
from tests.deployment.conftest import Exported, any_size, int8
from tests.deployment.nets import BEST, ROOT

__all__ = ["any_size", "int8"]  # Fixtures.


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    """Return what the command prints."""
    assert main([*arguments, "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def scene(index: int, side: int = 160) -> np.ndarray:
    return render_scene(0, "val", index, side).image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures, one in a subfolder, a truncated one, a text, and a hidden file."""
    pictures = tmp_path / "pictures"
    (pictures / "more").mkdir(parents=True)
    cv2.imwrite(str(pictures / "a.png"), scene(0))
    cv2.imwrite(str(pictures / "more" / "b.jpg"), scene(1))
    (pictures / "cut.png").write_bytes((pictures / "a.png").read_bytes()[:500])
    (pictures / "note.txt").write_text("hello")
    (pictures / ".hidden").write_text("hello")
    return pictures


def test_the_default_model_finds_faces_where_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    drawn = render_scene(0, "val", 0, 160)
    cv2.imwrite(str(tmp_path / "a.png"), drawn.image)
    found = answer(capsys, str(tmp_path / "a.png"))
    (image,) = found["images"]
    assert (image["file"], image["width"], image["height"]) == ("a.png", 160, 160)
    best = image["faces"][0]
    largest = drawn.boxes[np.argmax(np.prod(drawn.boxes[:, 2:] - drawn.boxes[:, :2], axis=1))]
    np.testing.assert_allclose(best["box"], largest, atol=8)
    assert 0.5 < best["score"] < 1
    x1, y1, x2, y2 = best["box"]
    assert np.shape(best["landmarks"]) == (5, 2)
    assert all(x1 < x < x2 and y1 < y < y2 for x, y in best["landmarks"])
    assert best["landmarks"][0][0] < best["landmarks"][1][0], "the left eye in the picture comes first"


@pytest.mark.slow
def test_onnx_and_weights_find_the_same(capsys: pytest.CaptureFixture[str], folder: Path, any_size: Exported) -> None:
    files = [str(folder / "a.png"), str(folder / "more" / "b.jpg"), "--score", "0.3"]
    first, second = (answer(capsys, *files, "--model", str(model)) for model in (BEST, any_size.path))
    for a, b in zip(first["images"], second["images"], strict=True):
        assert len(a["faces"]) == len(b["faces"]) > 0
        for one, other in zip(a["faces"], b["faces"], strict=True):
            np.testing.assert_allclose(one["box"], other["box"], atol=0.02)
            np.testing.assert_allclose(one["landmarks"], other["landmarks"], atol=0.02)
            assert one["score"] == pytest.approx(other["score"], abs=2e-4)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_boxes_are_in_the_pixels_of_the_upright_picture(
    orientation: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A picture that the camera stored rotated, with EXIF's orientation, has the boxes of the upright picture."""
    upright = scene(0)[:150]
    turns = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_COUNTERCLOCKWISE, 8: cv2.ROTATE_90_CLOCKWISE}
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = cv2.rotate(upright, turns[orientation])
    Image.fromarray(stored[:, :, ::-1]).save(tmp_path / "turned.png", exif=exif)
    cv2.imwrite(str(tmp_path / "upright.png"), upright)
    turned, plain = answer(capsys, str(tmp_path / "turned.png"), str(tmp_path / "upright.png"))["images"]
    assert (turned["width"], turned["height"]) == (160, 150)
    assert turned["faces"] == plain["faces"] != []


def test_boxes_of_reduced_pictures_are_in_original_pixels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), scene(0))
    large = cv2.resize(scene(0), (640, 640), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "large.png"), large)
    small, reduced = answer(capsys, str(tmp_path / "a.png"), str(tmp_path / "large.png"), "--side", "160")["images"]
    np.testing.assert_allclose(reduced["faces"][0]["box"], np.multiply(small["faces"][0]["box"], 4), atol=6)


def test_a_folder_goes_on_past_bad_files(capsys: pytest.CaptureFixture[str], folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    found = answer(capsys, str(folder), "--out", str(out), code=1)
    assert [image["file"] for image in found["images"]] == ["a.png", "more/b.jpg"]
    assert found["refused"] == [
        {"file": "cut.png", "reason": "is a damaged or truncated PNG file"},
        {"file": "note.txt", "reason": "is no image that OpenCV decodes"},
    ]
    assert json.loads((out / "faces.json").read_text()) == found
    drawn = cv2.imread(str(out / "more" / "b.jpg.faces.jpg"))
    assert drawn is not None
    assert drawn.shape == (160, 160, 3)
    assert np.abs(drawn.astype(int) - scene(1)).max() > 100, "faces are drawn"


def test_what_was_drawn_is_not_searched(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), scene(0))
    for _ in range(2):
        found = answer(capsys, str(tmp_path), "--out", str(tmp_path / "found"))
        assert [image["file"] for image in found["images"]] == ["a.png"]
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png")), scene(0))  # The picture stays as it was.


def test_a_file_alone_that_cannot_be_read_is_wrong_input(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert main([str(folder / "cut.png")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "cut.png is a damaged or truncated PNG file\n" in printed.err


def test_lines_name_files_and_scores(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    assert main([str(folder / "a.png"), "--score", "0.6"]) == 0
    score = r"[01]\.\d\d"
    assert re.fullmatch(rf"a\.png: (1 face|\d+ faces) \({score}(, {score})*\)\n", capsys.readouterr().out)


def test_every_frame_of_a_video_is_searched(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 4, (160, 160))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no videos")
    for index in range(3):
        writer.write(scene(index))
    writer.release()
    found = answer(capsys, str(path), "--out", str(tmp_path / "found"), "--score", "0.3")
    assert [(image["frame"], image["seconds"]) for image in found["images"]] == [(0, 0), (1, 0.25), (2, 0.5)]
    assert all(image["faces"] for image in found["images"])
    capture = cv2.VideoCapture(str(tmp_path / "found" / "clip.mp4.faces.mp4"))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 3
    capture.release()
    path.write_bytes(path.read_bytes()[:200])
    assert answer(capsys, str(path), code=2)["refused"][0]["file"] == "clip.mp4"


def test_a_picture_too_wide_for_a_jpeg_is_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((1, 65_501, 3), np.uint8))
    (refused,) = answer(capsys, str(tmp_path / "a.png"), "--out", str(tmp_path / "o"), code=2)["refused"]
    assert "more than 65,500 pixels a side" in refused["reason"]


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (7, 5), (33, 31)])
def test_tiny_and_thin_pictures(size: tuple[int, int], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((*size, 3), 90, np.uint8))
    (image,) = answer(capsys, str(tmp_path / "a.png"), "--out", str(tmp_path / "o"), "--score", "0")["images"]
    assert (image["height"], image["width"]) == size


NO_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from harness import cli
from harness.detect import main
cli.run(main, sys.argv[1:])
"""


def without(absent: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where packages are absent."""
    script = NO_TORCH.format(absent=absent)
    return subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_an_onnx_file_needs_neither_torch_nor_the_other_packages(folder: Path, any_size: Exported) -> None:
    absent = {"torch", "pandas", "scipy", "sklearn", "optuna", "mlflow", "matplotlib", "safetensors", "filelock"}
    absent |= {"PIL", "psutil", "onnx", "onnxscript", "sqlalchemy", "jinja2", "huggingface_hub"}
    done = without(absent, str(folder / "a.png"), "--model", str(any_size.path), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["images"][0]["faces"]
    refused = without(absent, str(folder / "a.png"))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: torch is not installed: give an .onnx file as --model, or install this project\n"


@pytest.mark.slow
def test_python_loads_an_onnx_file_without_torch(folder: Path, any_size: Exported) -> None:
    script = f"""
import sys
sys.modules["torch"] = None
import harness
print(harness.load({str(any_size.path)!r}).detect({str(folder / "a.png")!r}, score=0.3).boxes.tolist())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    wanted = harness.load(BEST).detect(scene(0), score=0.3)
    np.testing.assert_allclose(json.loads(done.stdout), wanted.boxes, atol=0.02)
    with pytest.raises(DataError, match=r"\(H, W, 3\) uint8"):
        harness.load(any_size.path).detect(scene(0)[:, :, 0])


@pytest.mark.slow
def test_a_missing_onnx_runtime_is_named(folder: Path, any_size: Exported) -> None:
    done = without({"onnxruntime"}, str(folder / "a.png"), "--model", str(any_size.path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: onnxruntime is not installed: pip install '.[detect]'\n"


@pytest.mark.slow
def test_a_network_of_fixed_size_takes_any_picture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, int8: Exported
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), scene(0, 320)[:, :250])
    (image,) = answer(capsys, str(tmp_path / "a.png"), "--model", str(int8.path), "--score", "0.3")["images"]
    assert (image["width"], image["height"]) == (250, 320)
    assert image["faces"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["absent.png"], "absent.png does not exist"),
        (["/dev/null"], "/dev/null is neither a file nor a folder"),
        (["{a}", "--score", "1.5"], "--score lies in 0 … 1"),
        (["{a}", "--nms", "-1"], "--nms lies in 0 … 1"),
        (["{a}", "--side", "7"], "--side is 0, or 32 to 8,192 pixels"),
        (["{a}", "--threads", "-1"], "--threads must be positive"),
        (["{a}", "--model", "weights.pth"], "there is no weights file"),
        (["{a}", "--model", "a/best", "--arch", "v2"], "drop --arch"),
        (["{a}", "--model", "absent.safetensors"], "there is no weights file"),
        (["{a}", "--model", "nothing/best"], "unknown study"),
        (["{a}", "--model", "x.onnx", "--arch", "v2"], "drop --arch"),
        (["{a}", "--model", "x.onnx", "--device", "cuda"], "drop --device cuda"),
        (["{a}", "{a}", "--out", "{out}"], "two files are called a.png"),
        (["{empty}"], "holds no file"),
    ],
)
def test_bad_input_is_refused(arguments: list[str], told: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    names = {"a": folder / "a.png", "out": tmp_path / "out", "empty": tmp_path / "empty"}
    with pytest.raises((InputError, DataError), match=told):
        main([argument.format(**names) for argument in arguments])


def test_the_help_says_what_the_default_model_learned_from(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "trained on generated scenes" in " ".join(capsys.readouterr().out.split())
