"""Exported files compute what the network computes, and say what they are."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from harness.core.evaluation import EvalConfig
from harness.data.synthetic.generate import render_scene
from harness.deployment.card import Card
from harness.deployment.compare import differences, expected
from harness.deployment.session import OnnxDetector
from harness.deployment.torch_file import CARD
from harness.errors import DataError, HarnessError
from harness.evaluation.inference import detect
from harness.models.detector import Detector
from harness.models.named import find_network
from harness.models.weights import state_digest
from tests.deployment.conftest import Exported, run
from tests.deployment.nets import BEST

pytestmark = pytest.mark.slow

SIZES = [(160, 160), (97, 203), (31, 33), (1, 1), (2, 90), (64, 48)]


@pytest.fixture(scope="module")
def student() -> Detector:
    return find_network(None, None, BEST, Path("runs")).load().eval()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (1, height, width, 3), dtype=np.uint8)


def test_outputs_are_the_network_s_at_every_size(any_size: Exported, student: Detector) -> None:
    detector, reference = OnnxDetector(any_size.path, 1), expected(student)
    images = [noise(*size) for size in SIZES] + [render_scene(3, "val", 0, 160).image[None]]
    for image in images:
        for got, wanted in zip(detector.raw(image), reference(image), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=5e-3)
    assert max(reference(images[-1])[1]) > 0.3, "the scene shows no face that the network finds"


def test_faces_are_the_network_s(any_size: Exported, student: Detector) -> None:
    detector, config = OnnxDetector(any_size.path, 1), EvalConfig()
    for index, side in ((0, 0), (1, 200), (2, 99)):
        scene = render_scene(0, "val", index, 160).image[: 160 - 20 * index]
        wanted = detect(student, scene, config, side)
        assert len(wanted) > 2
        np.testing.assert_allclose(detector.detect(scene, config, side), wanted, rtol=1e-3, atol=1e-2)


def test_ap_is_the_same_to_a_thousandth(any_size: Exported) -> None:
    before, after = any_size.said["ap"]["before"], any_size.said["ap"]["after"]
    assert before["mean"] > 0.3
    for name in ("easy", "medium", "hard", "mean"):
        assert after[name] == pytest.approx(before[name], abs=1e-3)


def test_the_command_says_what_it_wrote(any_size: Exported) -> None:
    said, best = any_size.said, json.loads((BEST.parent / "summary.json").read_text(encoding="utf-8"))["best"]
    assert (said["file"], said["format"], said["bytes"]) == (str(any_size.path), "onnx", any_size.path.stat().st_size)
    assert said["max_difference"] == max(said["differences"].values()) < 1e-2
    assert (said["params"], said["size"], said["quantized"]) == (best["params"], "dynamic", None)
    assert said["protocol"]["images"] == 12
    assert said["fps"]["1"]["fps"] > 0


def test_the_file_says_what_it_is(any_size: Exported, student: Detector) -> None:
    model = onnx.load(any_size.path)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == any_size.said["opset"] == 20
    card = OnnxDetector(any_size.path, 1).card
    assert (card.name, card.trained_on, card.size, card.quantized) == ("best", "default-v2_p5-synthetic", 0, "")
    assert card.weights == state_digest(student)
    assert card.evaluation["nms_iou"] == EvalConfig().nms_iou
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    content = any_size.path.read_bytes()
    assert b".py" not in content.replace(b"harness", b""), "the file holds paths of the machine that made it"


def test_int8_computes_in_int8_and_finds_the_same_faces(int8: Exported, any_size: Exported, student: Detector) -> None:
    model = onnx.load(int8.path)
    types = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.INT8 in types
    stages = (student.get_submodule("backbone.stage2"), student.get_submodule("backbone.stage3"))
    pointwise = [p for stage in stages for p in stage.parameters() if p.ndim == 4 and p.shape[1] > 1]
    saved = any_size.path.stat().st_size - int8.path.stat().st_size
    assert saved > 1.5 * sum(p.numel() for p in pointwise), "three bytes per weight, less the scales and their nodes"
    detector = OnnxDetector(int8.path, 1)
    assert detector.card.size == 160
    assert detector.card.quantized == "int8: backbone.stage2, backbone.stage3"
    before, after = int8.said["ap"]["before"]["mean"], int8.said["ap"]["after"]["mean"]
    assert after == pytest.approx(before, abs=0.05)
    assert int8.said["quantized"] == "int8"


def test_a_fixed_size_sees_every_picture_at_its_size(int8: Exported) -> None:
    detector = OnnxDetector(int8.path, 1)
    scene = render_scene(0, "val", 0, 320).image
    whole = detector.detect(scene, EvalConfig(score_threshold=0.3))
    assert len(whole) > 0
    assert whole[:, :4].max() > 160, "boxes are in pixels of the picture"
    cut = detector.detect(scene[:200], EvalConfig(score_threshold=0.02))
    assert np.isfinite(cut).all()


def test_pytorch_s_format_holds_graph_and_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], student: Detector
) -> None:
    path = tmp_path / "v.pt2"
    given = ("--weights", str(BEST), "--format", "torch_export", "--size", "dynamic", "--out", str(path))
    said = run(capsys, *given, "--runs", str(tmp_path))
    assert said["max_difference"] < 1e-2
    assert (said["format"], said["opset"]) == ("torch_export", None)
    extra = {CARD: ""}
    module = torch.export.load(path, extra_files=extra).module()
    card = Card.from_metadata(json.loads(extra[CARD]), str(path))
    assert (card.size, card.opset, card.weights) == (0, 0, state_digest(student))
    assert "multiples of 32" in card.preprocessing
    image = noise(64, 128)
    for got, wanted in zip(module(torch.from_numpy(image)), expected(student)(image), strict=True):
        np.testing.assert_allclose(got[0].detach().numpy(), wanted, rtol=1e-4, atol=5e-3)


def test_an_export_that_computes_something_else_is_refused(student: Detector) -> None:
    reference = expected(student)

    def off(image: np.ndarray) -> tuple[np.ndarray, ...]:
        boxes, scores, landmarks = reference(image)
        return boxes, scores + 1e-3, landmarks

    with pytest.raises(HarnessError, match=r"scores differ from the network's by up to 0\.001"):
        differences(off, reference, [noise(32, 32)], exact=True)
    assert differences(off, reference, [noise(32, 32)], exact=False)["scores"] == pytest.approx(1e-3, rel=1e-2)
    with pytest.raises(HarnessError, match="not those of the network"):
        differences(lambda image: tuple(part[1:] for part in reference(image)), reference, [noise(32, 32)], exact=True)


def test_other_onnx_files_are_refused(any_size: Exported, tmp_path: Path) -> None:
    model = onnx.load(any_size.path)
    del model.metadata_props[:]
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "cut.onnx").write_bytes(any_size.path.read_bytes()[:1000])
    told = {"other.onnx": "harness.export", "cut.onnx": "not a readable ONNX model", "absent.onnx": "there is no file"}
    for name, text in told.items():
        with pytest.raises(DataError, match=text):
            OnnxDetector(tmp_path / name)
