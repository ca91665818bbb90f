"""Measures the latency of a detector and of a reference in alternation, so that load on the machine affects both."""

import copy
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.core.protocol import SpeedConfig
from harness.models.detector import Detector


def _ready(detector: Detector, device: str) -> Detector:
    """Return a copy in evaluation mode on ``device``, channels_last; the original keeps mode, device and layout."""
    own = copy.deepcopy(detector).eval().to(device)
    own.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs
    return own


def _milliseconds(detector: Detector, image: Tensor) -> float:
    """Return the time of one forward pass. CUDA calls are asynchronous, hence the synchronisation before and after."""
    cuda = image.device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(image.device)
    started = perf_counter()
    detector(image)
    if cuda:
        torch.cuda.synchronize(image.device)
    return (perf_counter() - started) * 1_000


def measure(
    candidate: Detector, reference: Detector, config: SpeedConfig, device: str = "cpu", threads: int = 1
) -> dict[str, Any]:
    """Measure the forward pass of one image in float32: softmax included, decoding and NMS not.

    Every round runs both detectors, and the order alternates from round to round, so that other load on the machine
    slows both alike.

    Args:
        candidate: the detector that is measured.
        reference: the detector that it is compared with (V1).
        config: image size, rounds and warm-up rounds.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: PyTorch's CPU threads during the measurement.

    Returns:
        ``latency_ms`` (median), ``latency_iqr_ms`` (interquartile range), ``fps`` (1,000 / latency),
        ``reference_fps``, ``ratio_to_v1`` (median over the rounds of reference time / candidate time; above 1 the
        candidate is faster), ``device``, ``threads``, ``size`` and ``runs``.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pair = (_ready(candidate, device), _ready(reference, device))
        noise = torch.randn((1, 3, config.size, config.size), generator=torch.Generator().manual_seed(0)) * 60
        image = noise.to(device).contiguous(memory_format=torch.channels_last)
        times = np.zeros((config.warmup + config.runs, 2))
        with torch.inference_mode():
            for round_, row in enumerate(times):
                for which in (0, 1) if round_ % 2 else (1, 0):
                    row[which] = _milliseconds(pair[which], image)
    finally:
        torch.set_num_threads(before)
    own, other = times[config.warmup :].T
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
    }
