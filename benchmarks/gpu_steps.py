"""Training steps and evaluation on a CUDA device: what is bound by launches, and what fills the device.

    python benchmarks/gpu_steps.py

writes ``benchmarks/results/gpu_steps.json``. It has not been run yet. Times are milliseconds of wall time: medians for
the networks, means for trainings and evaluation. The images are noise or synthetic scenes.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.provenance import provenance
from harness.core.training import TrainConfig
from harness.data import load_split
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.device import device_name, make_deterministic, place
from harness.models.fold import freeze
from harness.training.job import Job
from harness.training.loop import train_epoch
from harness.training.setup import prepare

ROOT = Path(__file__).parent.parent
BATCH, STEPS, EPOCHS = 32, 4, 4
SIZES = (320, 640)
AT_ONCE = (1, 4, 8)
SHAPES = 24
"""Image sizes of the evaluation, all different."""

CUDA = torch.device("cuda")


def median(run: Callable[[], object], repeats: int = 10) -> float:
    """Return the median milliseconds of ``run``, after three calls that are not timed."""
    times = []
    for index in range(repeats + 3):
        torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if index >= 3:
            times.append(1e3 * (time.perf_counter() - started))
    return round(statistics.median(times), 2)


class Answers(nn.Module):
    """A detector's raw outputs in bfloat16's precision, as a tuple of tensors."""

    def __init__(self, network: Detector) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, classes and landmarks."""
        with torch.autocast("cuda", torch.bfloat16):
            output = self.network.raw(images)
        return output.boxes.float(), output.classes.float(), output.landmarks.float()


def bare(arch: str, size: int) -> dict[str, float]:
    """Return the time of a network's forward and backward pass, launched one by one and as a CUDA graph."""
    torch.manual_seed(0)
    network = build(ARCHS[arch]).train()
    place(network, CUDA)
    images = 60 * torch.randn((BATCH, 3, size, size), device=CUDA).contiguous(memory_format=torch.channels_last)
    answers: Any = Answers(network)
    found = {}
    for name in ("launched", "graph"):
        if name == "graph":
            answers = torch.cuda.make_graphed_callables(answers, (images,))

        def step(answers: Any = answers) -> None:
            outputs = answers(images)
            torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])

        found[name] = median(step)
    return found


def harness_step(arguments: tuple[str, int, str]) -> float:
    """Return milliseconds per step of the harness, in one process."""
    arch, size, folder = arguments
    data = DataConfig(size=size, train_images=BATCH * STEPS, search_images=8)
    cache = Path(folder)
    with tempfile.TemporaryDirectory() as own:
        job = Job(arch, ARCHS[arch], 0, TrainConfig(batch=BATCH), data, EvalConfig(), Path(own), cache, device="cuda")
        setup = prepare(job)
        train_epoch(setup, 1, None)
        started = time.perf_counter()
        for epoch in range(2, 2 + EPOCHS):
            train_epoch(setup, epoch, None)
        return 1e3 * (time.perf_counter() - started) / (EPOCHS * setup.steps)


def steps(size: int, folder: str) -> dict[str, Any]:
    """Return the mean time of V2's step with 1, 4 and 8 trainings at once, and how many steps all do in a second."""
    data = DataConfig(size=size, train_images=BATCH * STEPS, search_images=8)
    for split in ("train", "search"):
        load_split(data, split, Path(folder))
    found: dict[str, Any] = {}
    for count in AT_ONCE:
        with multiprocessing.get_context("spawn").Pool(count) as pool:
            times = pool.map(harness_step, [("v2", size, folder)] * count, chunksize=1)
        found[str(count)] = {"milliseconds": round(statistics.mean(times), 1)}
        found[str(count)]["steps_per_second"] = round(sum(1e3 / value for value in times), 1)
    return found


def evaluation(enabled: bool) -> float:
    """Return milliseconds for one image of each of many sizes, with cuDNN's convolutions or PyTorch's own."""
    torch.manual_seed(0)
    network = build(ARCHS["v2"])
    freeze(network)
    place(network, CUDA)
    make_deterministic(CUDA)
    # Sizes of their own for each variant, so that none was planned before.
    sides = range(640, 640 + 2 * SHAPES, 2) if enabled else range(641, 641 + 2 * SHAPES, 2)
    images = [torch.randn((1, 3, side, 1024), device=CUDA) for side in sides]
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=enabled):
        network(images[0])
        torch.cuda.synchronize()
        started = time.perf_counter()
        for image in images[1:]:
            network(image)
        torch.cuda.synchronize()
    return round(1e3 * (time.perf_counter() - started) / (SHAPES - 1), 2)


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gpu_steps.json")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(2, "there is no CUDA device: this measures one\n")
    result: dict[str, Any] = {"command": "python benchmarks/gpu_steps.py", "batch": BATCH, "network": {}, "harness": {}}
    for size in SIZES:
        for arch in ("v1", "v2"):
            result["network"][f"{arch}, {size}×{size}"] = bare(arch, size)
            print(f"{arch}, {size}×{size}", result["network"][f"{arch}, {size}×{size}"], flush=True)
    result["evaluation"] = {"cudnn": evaluation(enabled=True), "pytorch": evaluation(enabled=False)}
    print("image of a new size", result["evaluation"], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            result["harness"][f"v2, {size}×{size}"] = steps(size, folder)
            print(f"steps of v2, {size}×{size}, at once", result["harness"][f"v2, {size}×{size}"], flush=True)
    result["provenance"] = provenance(device_name(CUDA))
    given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
