"""Pictures, and exported detectors."""

import json
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from harness.core.evaluation import EvalConfig
from harness.data.decode import UnreadableImageError, read_image
from harness.deployment.card import INPUT, OUTPUTS, Card
from harness.deployment.pictures import UnreadableError, read_picture
from harness.deployment.session import OnnxDetector
from harness.errors import DataError
from tests.fuzz.damage import Damaged, Forged, damaged_bytes, edited_bytes, edited_json, forged
from tests.fuzz.parser import Parser

_SUFFIXES = (".jpg", ".png", ".bmp", ".tiff", ".webp", ".gif", ".ppm", ".jp2", ".hdr")


def _pictures() -> dict[str, bytes]:
    """Return one picture of every format that OpenCV writes here, and of each kind of pixels."""
    grey = np.arange(24 * 20, dtype=np.uint8).reshape(24, 20)
    colours = np.stack([grey, grey.T.reshape(24, 20), 255 - grey], axis=2)
    kinds = {
        "": colours,
        "grey": grey,
        "alpha": np.dstack([colours, grey]),
        "deep": colours.astype(np.uint16) * 257,
        "real": colours.astype(np.float32),
    }
    found = {}
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    for suffix in _SUFFIXES:
        for kind, image in kinds.items():
            try:
                done, content = cv2.imencode(suffix, image)
            except cv2.error:
                continue
            if done:
                found[f"{kind}{suffix}"] = content.tobytes()
    return found


PICTURES = _pictures()


def _picture(damaged: Damaged, folder: Path) -> None:
    """Read as by detection, and as by training."""
    path = folder / "picture"
    path.write_bytes(edited_bytes(PICTURES, damaged))
    with suppress(UnreadableImageError):
        assert read_image(path).ndim == 3
    image = read_picture(path)
    assert image.dtype == np.uint8
    assert image.shape[2] == 3


_IMAGE = np.full((20, 30, 3), 99, dtype=np.uint8)
_CARD = Card("v2", {}, "ab12", "mine", 0, "", 20, "0.1.0").to_metadata()
_TEXTS = ("name", "weights", "trained_on", "quantized", "harness", "preprocessing", "postprocessing")
CARDS: dict[str, Any] = {
    "card": {key: value if key in _TEXTS else json.loads(value) for key, value in _CARD.items()},
}


@cache
def _model(card: str) -> bytes:
    """Return a model that finds two faces in every picture, with a card."""
    from onnx import TensorProto, helper, numpy_helper

    shapes = dict(zip(OUTPUTS, ((1, 2, 4), (1, 2), (1, 2, 10)), strict=True))
    constants = [
        numpy_helper.from_array(np.linspace(0.1, 20, int(np.prod(shape)), dtype=np.float32).reshape(shape), f"{name}0")
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", [f"{name}0"], [name]) for name in OUTPUTS],
        "faces",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, "height", "width", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    for key, value in json.loads(card).items():
        model.metadata_props.add(key=key, value=value)
    content: bytes = model.SerializeToString()
    return content


def _onnx(drawn: Damaged, folder: Path) -> None:
    path = folder / "model.onnx"
    if isinstance(drawn, Forged):
        card = edited_json(CARDS, drawn)
        texts = {str(k): v if isinstance(v, str) else json.dumps(v) for k, v in card.items()}
        content = _model(json.dumps({k: v for k, v in texts.items() if (k + v).isascii()}))
    else:
        content = edited_bytes({"model": _model(json.dumps(_CARD))}, drawn)
    path.write_bytes(content)
    detector = OnnxDetector(path, 1)
    rows = detector.detect(_IMAGE, EvalConfig())
    assert rows.shape[1] == 15


PARSERS = (
    Parser("pictures", lambda: damaged_bytes(list(PICTURES)), _picture, 12_000, refusals=(UnreadableError,)),
    Parser(
        "models (.onnx)",
        lambda: damaged_bytes(["model"]) | forged(list(CARDS)),
        _onnx,
        4_000,
        refusals=(DataError,),
        examples=(Damaged("model", (("flip", 329, 0),)), Damaged("model", (("flip", 546, 7),))),
    ),
)
