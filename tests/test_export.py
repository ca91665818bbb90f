"""What ``python -m harness.export`` refuses, before anything is built."""

import sys
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.export import main, parse_size, text_of
from tests.deployment.nets import BEST


def test_sizes() -> None:
    assert [parse_size(text) for text in ("dynamic", "640", "32")] == [0, 640, 32]
    for text in ("31", "4097", "-5", "big", "6.5", "٦٤٠", 5_000 * "9"):
        with pytest.raises(InputError, match="--size is dynamic, or 32 to 4,096 pixels"):
            parse_size(text)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give --trial, --weights or --arch"),
        (["--trial", "a/best", "--arch", "v2"], "drop --arch and --weights"),
        (["--arch", "v2", "--quantize", "int8"], "give --data"),
        (["--arch", "v2", "--quantize", "int8", "--format", "torch_export"], "--format onnx"),
        (["--arch", "v2", "--data", "synthetic", "--format", "torch_export"], "drop --data"),
        (["--arch", "v2", "--limit", "5"], "--limit is for comparisons on images: give --data"),
        (["--arch", "v2", "--limit", "0", "--data", "synthetic"], "--limit must be at least 1"),
        (["--arch", "v2", "--calibration", "8"], "--calibration is for --quantize int8"),
        (
            ["--arch", "v2", "--calibration", "0", "--quantize", "int8", "--data", "synthetic"],
            "--calibration must be at least 1",
        ),
        (["--arch", "v2", "--out", "v2.pt2"], "must end in .onnx"),
        (["--arch", "v9"], "unknown arch 'v9'"),
        (["--trial", "nothing/best"], "unknown study"),
        (["--weights", "absent.safetensors"], "there is no weights file"),
        (["--arch", "v1", "--weights", str(BEST)], "does not fit"),
    ],
)
def test_bad_input_is_refused(arguments: list[str], told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        main([*arguments, "--runs", str(tmp_path)])


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package} is not installed: pip install '\.\[export\]'"):
        main(["--arch", "v2", "--runs", str(tmp_path)])


def test_the_summary_has_every_comparison() -> None:
    speed = {"fps": 61.0, "eager_fps": 22.0, "folded_fps": 30.0, "ratio_to_eager": 2.77, "ratio_to_folded": 2.03}
    ap = {"easy": 0.5, "medium": 0.25, "hard": None, "mean": None}
    text = text_of(
        {
            "file": "x.onnx",
            "bytes": 1_234_567,
            "params": 256_156,
            "size": 640,
            "opset": 20,
            "quantized": "int8",
            "differences": {"boxes": 0.01, "scores": 1e-6, "landmarks": 0.02},
            "ap": {"before": ap, "after": ap},
            "fps": {"1": speed, "2": speed},
        }
    )
    assert "1,234,567 bytes, 256,156 parameters, input 640, ONNX opset 20, int8" in text
    assert "AP before, %: easy 50.00, medium 25.00\n" in text
    assert "2 threads: 61.0 FPS, 2.77 × PyTorch, 2.03 × PyTorch with folded BatchNorms" in text
