"""Networks whose outputs differ from prior to prior without any training."""

from pathlib import Path

import torch
from torch import nn

from harness.core.arch import ArchConfig
from harness.models.builder import build
from harness.models.detector import Detector

ROOT = Path(__file__).parent.parent.parent
BEST = ROOT / "reports" / "default-v2_p5-synthetic" / "best.safetensors"
"""The committed student."""


def lively(arch: ArchConfig, seed: int = 0) -> Detector:
    """Return a network with BatchNorm statistics of noise, in evaluation mode."""
    torch.manual_seed(seed)
    found = build(arch)
    for module in found.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        found.train()(torch.randn((4, 3, 64, 96)) * 60)
    return found.eval()
