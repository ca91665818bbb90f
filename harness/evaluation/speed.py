"""Measures the latency of networks in alternation with a reference, so that load on the machine affects both."""

import copy
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.core.evaluation import SpeedConfig
from harness.models.detector import Detector
from harness.models.device import place
from harness.models.fold import freeze

Pass = Callable[[], object]
"""One forward pass."""


def ready(module: nn.Module, device: str) -> nn.Module:
    """Return a copy for inference: BatchNorms folded, on ``device``, channels_last; the original stays as it is."""
    own = copy.deepcopy(module)
    freeze(own)
    place(own, torch.device(device))
    return own


def noise(channels: int, size: int, stride: int, device: str) -> torch.Tensor:
    """Return a map (1, channels, ceil(size / stride), ceil(size / stride)) of normal noise, channels_last."""
    side = -(-size // stride)
    drawn = torch.randn((1, channels, side, side), generator=torch.Generator().manual_seed(0))
    return drawn.to(device).contiguous(memory_format=torch.channels_last)


def image_noise(size: int, device: str) -> torch.Tensor:
    """Return an image (1, 3, size, size) of noise with the spread of pixels, channels_last."""
    return 60 * noise(3, size, 1, device)


def _milliseconds(run: Pass, device: str) -> float:
    """Return the time of one forward pass. CUDA calls are asynchronous, hence the synchronisation before and after."""
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.synchronize(device)
    started = perf_counter()
    run()
    if cuda:
        torch.cuda.synchronize(device)
    return (perf_counter() - started) * 1_000


def alternate(passes: Sequence[Pass], config: SpeedConfig, device: str, threads: int) -> NDArray[np.float64]:
    """Time several forward passes in every round, in an order that is reversed from round to round.

    Args:
        passes: what is timed, and what it is compared with.
        config: rounds and warm-up rounds.
        device: where all of them run.
        threads: PyTorch's CPU threads meanwhile.

    Returns:
        (config.runs, passes) milliseconds, without the warm-up.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        times = np.zeros((config.warmup + config.runs, len(passes)))
        with torch.inference_mode():
            for round_, row in enumerate(times):
                for which in range(len(passes)) if round_ % 2 else reversed(range(len(passes))):
                    row[which] = _milliseconds(passes[which], device)
    finally:
        torch.set_num_threads(before)
    return times[config.warmup :]


def measure(
    candidate: Detector, reference: Detector, config: SpeedConfig, device: str = "cpu", threads: int = 1
) -> dict[str, Any]:
    """Measure the forward pass of one image in float32: softmax included, decoding and NMS not, BatchNorms folded.

    Args:
        candidate: the detector that is measured.
        reference: the detector that it is compared with (V1).
        config: image size, rounds and warm-up rounds.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: PyTorch's CPU threads during the measurement.

    Returns:
        ``latency_ms`` (median), ``latency_iqr_ms`` (interquartile range), ``fps`` (1,000 / latency),
        ``reference_fps``, ``ratio_to_v1`` (median over the rounds of reference time / candidate time; above 1 the
        candidate is faster), ``device``, ``threads``, ``size``, ``runs`` and ``folded`` (True).
    """
    own_network, other_network = ready(candidate, device), ready(reference, device)
    image = image_noise(config.size, device)
    own, other = alternate([lambda: own_network(image), lambda: other_network(image)], config, device, threads).T
    low, median, high = (float(value) for value in np.quantile(own, (0.25, 0.5, 0.75)))
    return {
        "fps": 1_000 / median,
        "latency_ms": median,
        "latency_iqr_ms": high - low,
        "ratio_to_v1": float(np.median(other / own)),
        "reference_fps": 1_000 / float(np.median(other)),
        "device": device,
        "threads": threads,
        "size": config.size,
        "runs": config.runs,
        "folded": True,
    }
