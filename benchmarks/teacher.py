"""What a teacher adds to a training step, and what its forward pass saves in bfloat16."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.steps import BATCH, epoch, prepared
from benchmarks.timing import Case, Given, Variant
from harness.core.arch import ARCHS
from harness.core.training import DistillConfig
from harness.models.builder import build
from harness.models.device import precision
from harness.models.weights import save_weights
from harness.training.setup import prepare


def cases(given: Given) -> Iterator[Case]:
    """Yield V1 and FeatherFace, with random weights, as teachers of V2."""
    size, steps = (64, 1) if given.quick else (320, 2)
    for arch in ("v1", "featherface"):
        yield from _cases(given.folder, arch, size, steps)


def _cases(folder: Path, arch: str, size: int, steps: int) -> Iterator[Case]:
    weights = folder / f"{arch}.safetensors"
    torch.manual_seed(0)
    save_weights(build(ARCHS[arch]), weights)
    alone = prepared(folder, "v2", size, steps)
    taught = prepare(replace(alone.job, distill=DistillConfig(), teacher=weights, teacher_arch=ARCHS[arch]))
    name, batches = f"{arch}, {BATCH} images of {size}×{size}", [images for images, _ in alone.batches(1)]
    yield Case(
        f"{name}, teaching V2",
        Variant("step with the teacher", lambda: epoch(taught), steps),
        Variant("step without", lambda: epoch(alone), steps),
        rounds=9,
    )
    teacher = taught.teacher
    assert teacher is not None

    def exact() -> None:
        with torch.no_grad():
            for images in batches:
                teacher.raw(images)

    def training() -> None:
        for images in batches:
            taught.taught(images)

    yield Case(
        name,
        Variant("forward pass in training", training, steps),
        Variant("forward pass in float32", exact, steps),
        rounds=9,
        facts={"precision": precision(torch.device("cpu"), size)},
    )
