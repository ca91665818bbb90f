"""The command as a shell sees it: what it prints, writes and refuses."""

import json
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.io import savemat

from harness.core.arch import ARCHS, ArchConfig
from harness.errors import InputError
from harness.evaluate import main
from harness.evaluation import inference as prediction
from harness.models.builder import build, resolve_arch
from harness.models.costs import count
from harness.models.weights import read_label, save_weights, write_labelled
from tests.mat import column

FOLDER = Path(__file__).parent.parent


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


IMAGES = 7


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WIDER FACE copy of seven small images of one face each."""
    root = tmp_path_factory.mktemp("copy")
    folder, truth = root / "val" / "images" / "0--Parade", root / "ground_truth"
    folder.mkdir(parents=True)
    truth.mkdir()
    rng = np.random.default_rng(0)
    names = [f"{index}" for index in range(IMAGES)]
    for name in names:
        assert cv2.imwrite(str(folder / f"{name}.jpg"), rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    (root / "val" / "wider_val.txt").write_text("".join(f"/0--Parade/{name}.jpg\n" for name in names))
    whole = {"event_list": column(["0--Parade"]), "file_list": column([column(list(names))])}
    boxes = column([column([np.array([[8 + 4 * index, 8, 20, 20]]) for index in range(IMAGES)])])
    savemat(truth / "wider_face_val.mat", whole | {"face_bbx_list": boxes})
    for name in ("easy", "medium", "hard"):
        listed = column([column([np.array([[1]])] * IMAGES)])
        savemat(truth / f"wider_{name}_val.mat", {"gt_list": listed})
    torch.manual_seed(0)
    save_weights(build(resolve_arch("v2")), root / "w.safetensors")
    torch.manual_seed(1)
    save_weights(build(resolve_arch("v2")), root / "other.safetensors")
    return root


def network(copy: Path, runs: Path, *more: str, weights: str = "w.safetensors") -> list[str]:
    given = ["--arch", "v2", "--weights", str(copy / weights), "--data", str(copy), "--runs", str(runs)]
    return [*given, "--json", *more]


def answer(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, Any]:
    """Return what the command prints, without what differs from run to run."""
    assert main(arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    return {name: value for name, value in printed.items() if not name.endswith("seconds")}


def test_prediction_files(wider: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = wider / "new" / "pr.png"
    arguments = ["--predictions", str(wider / "found"), "--ground-truth", str(wider / "ground_truth")]
    assert main([*arguments, "--json", "--plot", str(picture)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["easy"] == 1.0
    assert answer["medium"] == answer["hard"] == 0.5
    assert answer["mean"] == pytest.approx(2 / 3)
    assert (answer["images"], answer["faces"]) == (2, 2)
    assert answer["seconds"] > 0
    assert answer["protocol"]["evaluator"] == "widerface-1"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_table(wider: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--predictions", str(wider / "found"), "--ground-truth", str(wider / "ground_truth")])
    out = capsys.readouterr().out
    assert "100.00    50.00    50.00    66.67" in out
    assert "evaluator widerface-1" in out


def test_an_image_list_narrows_and_changes_the_protocol(wider: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (wider / "list.txt").write_text("0--Parade/b.jpg\n")
    arguments = ["--predictions", str(wider / "found"), "--ground-truth", str(wider / "ground_truth"), "--json"]
    main(arguments)
    whole = json.loads(capsys.readouterr().out)
    main([*arguments, "--images", str(wider / "list.txt")])
    part = json.loads(capsys.readouterr().out)
    assert (part["easy"], part["hard"], part["mean"], part["images"]) == (None, 0.0, None, 1)
    assert part["protocol"]["digest"] != whole["protocol"]["digest"]


def test_several_sides_are_another_protocol(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = answer(capsys, network(copy, tmp_path, "--side", "96"))
    two = answer(capsys, network(copy, tmp_path, "--side", "0,96"))
    assert one["protocol"]["eval_side"] == 96
    assert two["protocol"]["eval_side"] == [0, 96]
    assert one["hard"] != two["hard"]
    main([text for text in network(copy, tmp_path, "--side", "0,96") if text != "--json"])
    assert "eval_side 0 + 96" in capsys.readouterr().out


def test_an_image_list_narrows_a_network_too(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, files = tmp_path / "list.txt", tmp_path / "files"
    images.write_text("0--Parade/5.jpg\n0--Parade/2.jpg\n")
    whole = answer(capsys, network(copy, tmp_path))
    part = answer(capsys, network(copy, tmp_path, "--images", str(images), "--write", str(files)))
    assert (whole["images"], part["images"], part["faces"]) == (IMAGES, 2, 2)
    assert part["protocol"]["digest"] != whole["protocol"]["digest"]
    assert sorted(path.name for path in files.rglob("*.txt")) == ["2.txt", "5.txt"]
    truth = ["--ground-truth", str(copy / "ground_truth"), "--images", str(images), "--json"]
    again = answer(capsys, ["--predictions", str(files), *truth])
    assert [again[name] for name in ("easy", "medium", "hard")] == [part[name] for name in ("easy", "medium", "hard")]
    images.write_text("".join(f"0--Parade/{index}.jpg\n" for index in reversed(range(IMAGES))))
    assert answer(capsys, network(copy, tmp_path, "--images", str(images))) == whole


def test_a_network_s_landmarks_are_measured(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [*network(copy, tmp_path), "--data", "synthetic", "--limit", "3"]
    found = answer(capsys, given)
    error = found["landmark"]
    assert isinstance(error, dict)
    assert error["faces"] == found["faces"], "every face of a scene has landmarks"
    assert sum(group["faces"] for group in error["by_size"].values()) == error["faces"]
    main([text for text in given if text != "--json"])
    assert f"of {error['faces']:,})" in capsys.readouterr().out
    assert answer(capsys, network(copy, tmp_path))["landmark"] == {}, "WIDER FACE validation images have none"


DIE = """
import os, signal, sys
from harness.evaluate import main
from harness.evaluation import inference

save, saved = inference.save_detections, []

def save_and_die(path, ids, detections):
    save(path, ids, detections)
    saved.append(path)
    if len(saved) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

inference.CHUNK_IMAGES = 2
inference.save_detections = save_and_die
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_evaluation_resumes(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    prepare = prediction.prepare

    def counted(images: list[np.ndarray], *rest: Any) -> Any:
        seen.append(len(images))
        return prepare(images, *rest)

    monkeypatch.setattr(prediction, "prepare", counted)
    monkeypatch.setattr(prediction, "CHUNK_IMAGES", 2)
    whole = answer(capsys, network(copy, tmp_path / "whole"))
    assert sum(seen) == IMAGES

    runs = tmp_path / "runs"
    killed = subprocess.run(
        [sys.executable, "-c", DIE, *network(copy, runs)], capture_output=True, text=True, check=False, cwd=FOLDER
    )
    assert killed.returncode == -signal.SIGKILL
    assert killed.stdout == ""
    assert len(list((runs / "predictions").glob("*/*.npz"))) == 2

    seen.clear()
    others = {"other weights": network(copy, runs, weights="other.safetensors")}
    others["another side"] = network(copy, runs, "--side", "96")
    for what, arguments in others.items():
        answer(capsys, arguments)
        assert sum(seen) == IMAGES, f"{what}: detections of another run were used"
        seen.clear()
    assert answer(capsys, network(copy, runs)) == whole
    assert sum(seen) == IMAGES - 4
    assert not list((runs / "predictions").iterdir())


def test_a_labelled_file_needs_no_arch(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labelled(copy / "w.safetensors", tmp_path / "best.safetensors", {"arch": ARCHS["v2"].to_dict()})
    main(network(copy, tmp_path))
    named = json.loads(capsys.readouterr().out)
    main(["--weights", str(tmp_path / "best.safetensors"), *network(copy, tmp_path)[4:]])
    stated = json.loads(capsys.readouterr().out)
    assert stated["arch"] == "best"
    assert stated["protocol"] == named["protocol"]
    assert stated["mean"] == named["mean"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["harness/weights/v1_scenes", "reports/default-v2_p5-synthetic/best"], ids=["v1", "best"]
)
def test_published_weights_have_their_published_ap(
    name: str, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    path = FOLDER / f"{name}.safetensors"
    label = read_label(path)
    assert count(ArchConfig.from_dict(label["arch"])) == label["params"]
    runs = tmp_path_factory.getbasetemp() / "published"  # Both networks see the same scenes.
    main(["--weights", str(path), "--data", "synthetic", "--runs", str(runs), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["protocol"]["digest"] == label["protocol"]["digest"]
    for level, ap in label["ap"].items():
        assert found[level] == pytest.approx(ap, abs=2e-3), level


NETWORK = ["--arch", "v2", "--weights", "x", "--data", "synthetic"]
FILES = ["--predictions", "x", "--ground-truth", "y"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to evaluate: give --predictions and --ground-truth, or --trial and --data, or --weights "),
        (["--predictions", "x"], "--ground-truth must be given with --predictions"),
        (["--images", "x"], "nothing to evaluate"),
        (["--arch", "v2"], "--weights and --data must be given with --arch"),
        (["--predictions", "x", "--side", "320"], "give one of the two"),
        ([*NETWORK, "--limit", "0"], "--limit must be at least 1"),
        ([*NETWORK, "--limit", "3", "--images", "x"], "--limit and --images both choose images"),
        ([*NETWORK, "--side", "-3"], "--side -3 is out of range: give 0 for the original size, or 32 to"),
        ([*NETWORK, "--side", "10"], "--side 10 is out of range"),
        ([*NETWORK, "--side", "640,99999"], "--side 99999 is out of range"),
        ([*NETWORK, "--side", "640,640"], "--side 640,640 gives a side twice"),
        ([*NETWORK, "--side", "abc"], "--side 'abc' is not a number of pixels"),
        ([*NETWORK, "--side", ""], "--side '' is not a number of pixels"),
        ([*NETWORK, "--side", "640,"], "--side '640,' is not a number of pixels"),
        ([*NETWORK, "--device", "tpu"], "device 'tpu'"),
        ([*NETWORK, "--images", "none.txt"], r"image list none\.txt cannot be read"),
        (NETWORK[2:], "there is no weights file x"),
        (
            ["--weights", __file__, "--data", "synthetic"],
            r"test_evaluate\.py does not state its architecture: give --arch",
        ),
        (["--arch", "v9", *NETWORK[2:]], "unknown arch 'v9'"),
        (["--arch", "v2", "--weights", "no.pth", "--data", "synthetic"], r"no\.pth"),
        ([*FILES, "--plot", "z.txt"], r"--plot must end in \.png"),
        (FILES, r"y/wider_face_val\.mat is missing"),
    ],
)
def test_bad_input_is_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as refusal:
        main(arguments)
    assert "\n" not in str(refusal.value)


def test_files_that_do_not_fit_are_refused(copy: Path, wider: Path) -> None:
    images, broken, torn = wider / "list.txt", wider / "evil.pth", wider / "torn.tar"
    images.write_text("0--Parade/1.jpg\n9--Nowhere/x.jpg\n")
    torch.save({"state_dict": {}, "run": print}, broken)
    with tarfile.open(torn, "w") as archive:
        archive.add(wider / "found", arcname="found")
    torn.write_bytes(torn.read_bytes()[:700])
    truth = ["--ground-truth", str(wider / "ground_truth")]
    cases = {
        "names 1 images that widerface val does not hold, the first is 9--Nowhere/x": network(
            copy, wider, "--images", str(images)
        ),
        "no PyTorch file of plain tensors": network(copy, wider, weights=str(broken)),
        "does not fit this architecture": ["--arch", "v1", *network(copy, wider)[2:]],
        "has no WIDER FACE val split": [*network(copy, wider), "--data", str(wider)],
        "torn.tar": ["--predictions", str(torn), *truth],
        "no ground truth for 1 images, the first is 9--Nowhere/x": [
            *("--predictions", str(wider / "found"), "--images", str(images)),
            *("--ground-truth", str(copy / "ground_truth")),
        ],
    }
    for message, arguments in cases.items():
        with pytest.raises(InputError, match=message) as refusal:
            main(arguments)
        assert "\n" not in str(refusal.value)


def test_places_that_cannot_be_written_are_refused_first(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option, path in (("--write", "file"), ("--write", "file/new"), ("--plot", "file/pr.png")):
        arguments = [*network(copy, tmp_path / "runs", weights="none.safetensors"), option, str(tmp_path / path)]
        with pytest.raises(InputError, match=rf"^{option}: .*/file.* is not a writable folder"):
            main(arguments)
    (tmp_path / "pr.png").mkdir()
    with pytest.raises(InputError, match=r"pr\.png is a folder: name a file"):
        main([*network(copy, tmp_path / "runs"), "--plot", str(tmp_path / "pr.png")])
    with pytest.raises(InputError, match=r"^--runs: "):
        main(network(copy, tmp_path / "file"))


@pytest.mark.slow
def test_the_shell_sees_one_line_and_code_2(copy: Path, wider: Path) -> None:
    (wider / "found/0--Parade/a.txt").write_text("a\n1\n10 10 19 19 nan\n")
    (wider / "list.txt").write_text("9--Nowhere/x.jpg\n")
    files = ["--predictions", str(wider / "found"), "--ground-truth", str(wider / "ground_truth")]
    cases = {
        f"error: {wider / 'found/0--Parade/a.txt'} is not a prediction file (a box is not one of pixels": files,
        "error: --images ": network(copy, wider, "--images", str(wider / "list.txt")),
    }
    for message, arguments in cases.items():
        done = subprocess.run(
            [sys.executable, "-m", "harness.evaluate", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith(message)
        assert done.stderr.count("\n") == 1


def test_a_network_on_real_images_and_its_files_agree(
    widerface_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    save_weights(build(resolve_arch("v2")), tmp_path / "w.safetensors")
    given = ["--arch", "v2", "--weights", str(tmp_path / "w.safetensors"), "--side", "160"]
    given += ["--data", str(widerface_root)]
    files = tmp_path / "files"
    main([*given, "--limit", "6", "--runs", str(tmp_path), "--write", str(files), "--json"])
    first = json.loads(capsys.readouterr().out)
    assert first["images"] == 6
    assert first["protocol"]["eval_side"] == 160
    names = sorted(str(path.relative_to(files)) for path in files.rglob("*.txt"))
    (tmp_path / "list.txt").write_text("\n".join(names))
    truth = str(widerface_root / "ground_truth")
    images = str(tmp_path / "list.txt")
    main(["--predictions", str(files), "--ground-truth", truth, "--images", images, "--json"])
    second = json.loads(capsys.readouterr().out)
    assert second["hard"] == pytest.approx(first["hard"], abs=1e-9)
    assert second["faces"] == first["faces"]
