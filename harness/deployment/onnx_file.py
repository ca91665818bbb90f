"""Writes a detector as an ONNX model, with its card in the metadata."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from harness.deployment.card import INPUT, OUTPUTS, Card
from harness.deployment.graph import Deployed
from harness.deployment.packages import EXPORT, need

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20
"""Version of ONNX's operators: read by ONNX Runtime from 1.17 on."""

EXAMPLE = 96, 160
"""Height and width at which a network of any size is traced; they differ, so that they are not taken for one number."""

SCOPES = "pkg.torch.onnx.name_scopes"
"""Key of a node's metadata: the modules that it comes from."""


def to_onnx(network: Deployed, size: int) -> "ModelProto":
    """Return the network as an ONNX model; its nodes name the modules that they come from.

    Args:
        network: the detector.
        size: side of the square input, pixels; 0 for an input of any size.

    Raises:
        InputError: a package of the extra ``export`` is missing.
    """
    for package in ("onnx", "onnxscript"):
        need(package, EXPORT)
    height, width = (size, size) if size else EXAMPLE
    image = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    dynamic = torch.export.Dim.DYNAMIC
    with quiet():
        program = torch.onnx.export(
            network,
            (image,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=None if size else {INPUT: {1: dynamic, 2: dynamic}},
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def finish(model: "ModelProto", card: Card) -> bytes:
    """Return the file: the model with its card, without traces of the machine that made it."""
    from onnx.helper import set_model_props

    for graph in (model.graph, *model.functions):
        for node in graph.node:
            node.ClearField("metadata_props")  # Stack traces with paths.
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    set_model_props(model, card.to_metadata())
    content: bytes = model.SerializeToString(deterministic=True)
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the tools: they warn that torchvision is missing, of their own deprecations, and of optional steps."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
