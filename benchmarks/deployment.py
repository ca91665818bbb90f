"""Exported networks in ONNX Runtime against PyTorch, and what each step of the export gains.

Graphs run from uint8 pixels to decoded boxes; networks in PyTorch from normalised pixels to the heads' outputs.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks.timing import Case, Given, SkippedError, Variant
from harness import __version__
from harness.core.arch import ARCHS
from harness.deployment.card import INPUT, Card
from harness.deployment.graph import Deployed
from harness.deployment.onnx_file import OPSET, finish, to_onnx
from harness.deployment.quantize import quantize
from harness.deployment.session import session
from harness.errors import InputError
from harness.evaluation.speed import image_noise, ready
from harness.models.builder import build
from harness.models.detector import Detector

EAGER, FOLDED = "V2 in PyTorch", "V2 in PyTorch, BatchNorms folded, channels_last"
PLAIN, FASTER, INT8 = "V2 exported without reformulation", "V2 exported", "V2 exported, int8"


def cases(given: Given) -> Iterator[Case]:
    """Yield PyTorch against exports, and exports against one another."""
    size = 64 if given.quick else 640
    torch.manual_seed(0)
    v1, v2 = (build(ARCHS[name]).eval() for name in ("v1", "v2"))
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    try:
        files = {
            PLAIN: _file(v2, size, faster=False),
            FASTER: _file(v2, size),
            INT8: _file(v2, size, pixels),
            "V1 exported": _file(v1, size),
        }
    except InputError as error:
        raise SkippedError(str(error)) from error
    ratios = (
        (EAGER, FASTER),
        (FOLDED, FASTER),
        (EAGER, INT8),
        (PLAIN, FASTER),
        (FASTER, INT8),
        ("V1 exported", FASTER),
        ("V1 exported", INT8),
    )
    for threads in (1,) if given.quick else (1, 2):  # More threads than free cores wait for each other.
        variants = _eager(v2, size) | {label: _run(label, file, pixels, threads) for label, file in files.items()}
        for measured, against in ratios:
            yield Case(f"one image of {size}×{size}", variants[measured], variants[against], rounds=25, threads=threads)


def _file(network: Detector, size: int, pixels: Any = None, *, faster: bool = True) -> bytes:
    model = to_onnx(Deployed(network, faster=faster), size)
    if pixels is not None:
        model = quantize(model, [pixels])
    return finish(model, Card("benchmark", {}, "", "", size, "", OPSET, __version__))


def _eager(network: Detector, size: int) -> dict[str, Variant]:
    folded, image = ready(network, "cpu"), image_noise(size, "cpu")
    plain = image.contiguous()
    return {
        EAGER: Variant(EAGER, lambda: _forward(network, plain)),
        FOLDED: Variant(FOLDED, lambda: _forward(folded, image)),
    }


def _forward(network: torch.nn.Module, image: torch.Tensor) -> None:
    with torch.inference_mode():
        network(image)


def _run(label: str, file: bytes, pixels: Any, threads: int) -> Variant:
    running = session(file, threads)
    return Variant(label, lambda: running.run(None, {INPUT: pixels}))
