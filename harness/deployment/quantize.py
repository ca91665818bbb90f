"""Static int8 quantisation of the layers where it pays on a CPU, by ONNX Runtime's tools."""

import ast
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.deployment.card import INPUT
from harness.deployment.onnx_file import SCOPES, quiet
from harness.deployment.packages import EXPORT, need
from harness.detection.framing import Image
from harness.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

PARTS = ("backbone.stage2", "backbone.stage3")
"""The modules that are quantised: most weights and almost half of V2's MACs, on small maps of many channels.

ONNX Runtime computes their 1×1 convolutions three to four times faster in int8. Everything before is slower in int8,
because its LeakyReLU and depthwise convolutions do not profit; everything behind holds few multiplications and decides
about the boxes.
"""

_OPERATORS = ("Conv", "LeakyRelu")


def quantize(model: "ModelProto", images: Iterable[Image]) -> "ModelProto":
    """Return a model whose ``PARTS`` compute in int8: weights per channel, activations per tensor, asymmetric.

    Args:
        model: as ``to_onnx`` returns it.
        images: training images, (1, H, W, 3) uint8 each; they give the ranges of the activations.

    Raises:
        InputError: a package of the extra ``export`` is missing, or the network has none of the parts.
    """
    for package in ("onnx", "onnxruntime"):
        need(package, EXPORT)
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Hands out the images one by one, as ONNX Runtime wants them."""

        def __init__(self) -> None:
            self.left: Iterator[Image] = iter(images)

        def get_next(self) -> dict[str, Image] | None:
            image = next(self.left, None)
            return None if image is None else {INPUT: image}

    nodes = [node.name for node in model.graph.node if node.op_type in _OPERATORS and _part(node)]
    if not nodes:
        raise InputError(f"the network has no {' or '.join(PARTS)}: there is nothing to quantise")
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=list(_OPERATORS),
            nodes_to_quantize=nodes,
        )
        return onnx.load(path)


def _part(node: "NodeProto") -> bool:
    """Return whether a node comes from one of ``PARTS``."""
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
    return any(f"detector.{part}" in ast.literal_eval(scopes) for part in PARTS)
