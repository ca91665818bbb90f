"""Time that a training will take on this machine, from a few steps on random images."""

import time

import torch
from torch import nn

from harness.core.arch import ArchConfig
from harness.core.data import DataConfig
from harness.core.training import TrainConfig
from harness.models.builder import build
from harness.models.device import place, precision, resolve_device

PIXELS = 4 * 128**2
"""Pixels of a timed step: several small images, or one large one."""

STEPS = 3
"""Timed steps, after one that warms up."""

ALLOWANCE = 1.3
"""Share of the whole training against its forward and backward passes: crops, loss, optimiser, evaluations."""


def training_seconds(
    arch: ArchConfig, train: TrainConfig, data: DataConfig, images: int, device: str = "cpu", threads: int = 1
) -> float:
    """Return roughly how many seconds a training without a teacher takes, if nothing else uses its cores.

    Args:
        arch: the network.
        train, data: its schedule and images.
        images: number of training images.
        device, threads: what it trains on.
    """
    where, side = resolve_device(device), train.side(data.size)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        network = build(arch).train()
        place(network, where)
        inputs = torch.rand(max(1, PIXELS // side**2), 3, side, side, device=where)
        inputs = inputs.to(memory_format=torch.channels_last)
        _step(network, inputs, precision(where, side))
        # On a CPU, the time that other processes take is not counted.
        clock = time.perf_counter if where.type == "cuda" else lambda: time.process_time() / threads
        started = clock()
        for _ in range(STEPS):
            _step(network, inputs, precision(where, side))
        seconds = (clock() - started) / (STEPS * len(inputs))
    finally:
        torch.set_num_threads(before)
    shown = images * (data.size / side) ** 2  # An input of twice the side shows four crops, and stands for four images.
    return ALLOWANCE * train.epochs * shown * seconds


def _step(network: nn.Module, inputs: torch.Tensor, computes: str) -> None:
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=computes == "bfloat16"):
        total = torch.stack([output.float().square().mean() for output in network(inputs)]).sum()
    torch.autograd.backward(total)
    total.item()  # Waits for the device.
