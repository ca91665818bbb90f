"""Training steps for comparison: those of the harness, and those of the network alone."""

from pathlib import Path

import torch
from torch import Tensor

from benchmarks.timing import Given, Variant
from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import TrainConfig
from harness.data import load_split
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.device import place, precision
from harness.training.job import Job
from harness.training.loop import train_epoch
from harness.training.setup import Setup, prepare

BATCH = 8
"""Images per step."""

SCENES, EPOCHS = 1_000, 3
"""The training that rare work is compared with; the study ``default`` trains its students on as many scenes."""


def prepared(folder: Path, arch: str, size: int, steps: int) -> Setup:
    """Return a training without a teacher, whose epochs have ``steps`` steps of ``BATCH`` synthetic scenes.

    Args:
        folder: where the scenes are kept.
        arch: name of the network.
        size: side of the training crops, pixels.
        steps: per epoch.
    """
    data = DataConfig(size=size, train_images=BATCH * steps, search_images=BATCH)
    for split in ("train", "search"):
        load_split(data, split, folder / "cache", processes=1)  # Processes would take longer to start than the scenes.
    job = Job(arch, ARCHS[arch], 0, TrainConfig(batch=BATCH), data, EvalConfig(), folder / arch, folder / "cache")
    return prepare(job)


def epoch(setup: Setup) -> None:
    """Train the first epoch: batches, forward pass, loss, backward pass, clipping and AdamW."""
    train_epoch(setup, 1, None)


def bare_network(arch: str) -> Detector:
    """Return a new network in train mode, in the memory format of training."""
    torch.manual_seed(0)
    network = build(ARCHS[arch]).train()
    place(network, torch.device("cpu"))
    return network


def bare_step(network: Detector, images: Tensor, computes: str = "") -> None:
    """Run the forward pass, and the backward pass with gradients of ones: no loss, no clipping, no update.

    Args:
        network: in train mode.
        images: (B, 3, S, S).
        computes: ``float32`` or ``bfloat16``; by default what a training computes in.
    """
    network.zero_grad(set_to_none=True)
    half = (computes or precision(images.device, images.shape[-1])) == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        output = network.raw(images)
    answers = (output.boxes, output.classes, output.landmarks)
    torch.autograd.backward(answers, [torch.ones_like(answer) for answer in answers])


def v2_steps(given: Given) -> tuple[Setup, int]:
    """Return V2's training at 128 pixels, and its steps per epoch."""
    steps = 1 if given.quick else 4
    return prepared(given.folder, "v2", 64 if given.quick else 128, steps), steps


def v2_training(given: Given) -> Variant:
    """Return V2's training on ``SCENES`` scenes for ``EPOCHS`` epochs at 128 pixels, of which a few steps are run."""
    setup, steps = v2_steps(given)
    share = steps * BATCH / (SCENES * EPOCHS)
    return Variant(f"training, {EPOCHS} × {SCENES:,} scenes", lambda: epoch(setup), share)
