"""Writes a detector in PyTorch's own format (``torch.export``), with its card beside the graph."""

import io
import json
from pathlib import Path

import torch

from harness.core.files import write_atomically
from harness.deployment.card import INPUT, Card
from harness.deployment.graph import Deployed
from harness.deployment.onnx_file import EXAMPLE

MULTIPLE = 32
"""Sides of a network of any size are multiples of this: PyTorch guards that upsampled maps need no cropping."""

CARD = "card.json"
"""Name of the extra file that holds the card."""


def to_program(network: Deployed, size: int) -> torch.export.ExportedProgram:
    """Return the network as an exported program.

    Args:
        network: the detector.
        size: side of the square input, pixels; 0 for an input of any size.
    """
    height, width = (size, size) if size else EXAMPLE
    image = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    dynamic = torch.export.Dim.DYNAMIC
    shapes = None if size else {INPUT: {1: dynamic, 2: dynamic}}
    with torch.no_grad():
        return torch.export.export(network, (image,), dynamic_shapes=shapes)


def save_program(program: torch.export.ExportedProgram, card: Card, path: Path) -> None:
    """Write a ``.pt2`` file atomically; ``torch.export.load`` with ``extra_files={CARD: ""}`` reads both.

    Raises:
        OSError: the file cannot be written.
    """
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={CARD: json.dumps(card.to_metadata())})
    write_atomically(path, content.getvalue())
