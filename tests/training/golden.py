"""A short training whose losses are on record: they change exactly when the training code computes something else.

``python -m tests.training.golden`` records them again. It refuses while ``TRAINING_VERSION`` is still the recorded one.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import DistillConfig, TrainConfig
from harness.data.faces import FaceSet, FaceSetWriter
from harness.models.builder import build
from harness.models.weights import read_tensors, save_weights
from harness.training.checkpoint import CHECKPOINT
from harness.training.job import TRAINING_VERSION, WEIGHTS, Job
from harness.training.loop import train
from harness.training.schedule import average_statistics
from harness.training.setup import prepare

RECORD = Path(__file__).with_name("golden.json")
TOLERANCES = {
    "first": 1e-4,
    "second": 5e-3,
    "moved": 2.5e-2,
    "shrunk": 2e-3,
    "kept": 4e-3,
    "statistics": 2e-3,
    "momentum": 5e-2,
    "squares": 2e-2,
}
"""Relative: a few times what instruction sets and thread counts make of it by rounding otherwise."""


def face_set(folder: Path, images: int) -> FaceSet:
    """Twelve blurred images with up to four faces: smooth, so that no resampling amplifies rounding."""
    rng = np.random.default_rng(images)
    with FaceSetWriter(folder, f"golden {images}") as writer:
        for index in range(images):
            noise = rng.integers(0, 256, (96, 120, 3), dtype=np.uint8)
            image = cv2.GaussianBlur(noise, (0, 0), 4).astype(np.uint8)
            count = 1 + index % 4
            corner = rng.uniform(0, 60, (count, 2))
            size = rng.uniform(16, 32, (count, 1))
            boxes = np.concatenate([corner, corner + size], axis=1)
            points = rng.uniform(0.2, 0.8, (count, 5, 2)) * size[:, None] + corner[:, None]
            landmarks = points.reshape(count, 10)
            landmarks[1::2] = np.nan
            everything = {name: np.ones(count, dtype=np.bool_) for name in ("easy", "medium", "hard")}
            writer.add(f"image_{index}", image, boxes, landmarks, everything)
        return writer.finish()


@contextmanager
def images_of(folder: Path) -> Iterator[None]:
    """Let training read the face sets above in place of a data set."""
    sets = {"train": face_set(folder / "train", 12), "search": face_set(folder / "search", 3)}
    with (
        patch("harness.training.setup.load_split", lambda _, split, *__: sets[split]),
        patch("harness.training.grade.load_split", lambda _, split, *__: sets[split]),
    ):
        yield


def measure(folder: Path) -> dict[str, Any]:
    """Train V2 for two steps from a random V1, with every loss term, decay and average.

    Returns the losses of each step, and what the optimizer did: how far weights moved on average (``moved``), the part
    of that which only shrank them (``shrunk``), how much of it is in the moving average (``kept``), the mean of its
    running variances (``statistics``), and Adam's moments (``momentum``, ``squares``). More steps would say less: Adam
    turns the rounding of a small gradient into a whole step.
    """
    with torch.random.fork_rng():
        torch.manual_seed(7)
        teacher = build(ARCHS["v1"])
        average_statistics(teacher)
        with torch.no_grad():
            teacher.raw(60 * torch.randn(4, 3, 64, 64))  # Running statistics, so that its maps have a scale.
        save_weights(teacher, folder / "v1.safetensors")
    job = Job(
        label="golden",
        arch=ARCHS["v2"],
        seed=3,
        train=TrainConfig(epochs=2, batch=12, lr=1e-4, weight_decay=10.0, warmup=0.0, clip=1.0, ema=0.9),
        data=DataConfig(size=64, train_images=12, search_images=3),
        evaluation=EvalConfig(),
        folder=folder / "job",
        cache=folder,
        distill=DistillConfig(alpha=0.7, feature_weight=0.5),
        teacher=folder / "v1.safetensors",
        teacher_arch=ARCHS["v1"],
        init_backbone=folder / "v1.safetensors",
        threads=torch.get_num_threads(),
    )
    with images_of(folder):
        before = prepare(job).student.state_dict()
        result = train(job, lambda _: True)
    state = torch.load(job.folder / CHECKPOINT, weights_only=True)
    kept = read_tensors(job.folder / WEIGHTS)
    names = [name for name, value in before.items() if value.ndim > 1]
    first, last, average = (
        torch.cat([of[n].flatten().double() for n in names]) for of in (before, state["student"], kept)
    )
    variances = torch.cat([value.flatten() for name, value in kept.items() if name.endswith("running_var")])
    adam = state["optimizer"]["state"].values()
    moments = {name: sum(of[name].double().abs().sum().item() for of in adam) for name in ("exp_avg", "exp_avg_sq")}
    return {
        "version": TRAINING_VERSION,
        "steps": [info["losses"] | {"lr": info["lr"]} for info in result.epochs],
        "weights": {
            "moved": (last - first).abs().mean().item(),
            "shrunk": (-(last - first) @ first / (first @ first)).item(),
            "kept": ((average - first).abs().mean() / (last - first).abs().mean()).item(),
            "statistics": variances.log().mean().item(),
            "momentum": moments["exp_avg"],
            "squares": moments["exp_avg_sq"],
        },
    }


def main() -> None:
    """Record the losses of this version."""
    before = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"version": None}
    if before["version"] == TRAINING_VERSION:
        sys.exit(f"version {TRAINING_VERSION} is on record: raise TRAINING_VERSION in harness/training/job.py first")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        RECORD.write_text(json.dumps(measure(Path(folder)), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
