"""Devices by name, the memory layout of networks, and deterministic kernels."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.errors import InputError

BFLOAT16_SIDE = 320
"""Least side of the input, pixels, for training in bfloat16 on a CPU (``make bench ARGS=training_step``).

With smaller maps, conversions and less efficient kernels cost more than it saves.
"""

_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
"""oneDNN's names of instruction sets that have no operations for bfloat16."""


def automatic() -> str:
    """Return ``cuda`` where there is a CUDA device, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def resolve_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is that of ``automatic``.

    Raises:
        InputError: there is no such device, or it is neither a CPU nor a CUDA device.
    """
    try:
        device = torch.device(automatic() if name == "auto" else name)
    except RuntimeError as error:
        raise InputError(f"unknown device '{name}': use cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device '{name}' is not supported: use cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"device '{name}' is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices; use cpu"
        )
    return device


def device_name(device: torch.device) -> str:
    """Return ``cpu``, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the device computes convolutions in bfloat16 faster than in float32.

    oneDNN's environment variable ``ONEDNN_MAX_CPU_ISA`` can hold a CPU to older instructions, which lack bfloat16.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _WITHOUT_BFLOAT16:
        return False
    # Older versions of PyTorch do not tell: there, a CPU computes in float32.
    found: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def precision(device: torch.device, side: int) -> str:
    """Return ``bfloat16`` or ``float32``: what forward and backward passes of a training are computed in.

    Args:
        device: where it trains.
        side: of the network's square input, pixels.
    """
    small = device.type == "cpu" and side < BFLOAT16_SIDE
    return "bfloat16" if has_bfloat16(device) and not small else "float32"


def on_accelerator(tensor: Tensor) -> bool:
    """Return whether reading a value of the tensor waits for a device other than the CPU."""
    return tensor.device.type != "cpu"


def to_device(value: Tensor, device: torch.device) -> Tensor:
    """Return a CPU tensor on ``device``; the copy to a CUDA device is asynchronous."""
    return value.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else value.to(device)


def place(module: nn.Module, device: torch.device) -> None:
    """Move a network to ``device`` and to the channels_last memory format, in which convolutions run faster."""
    module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from torch's stubs


def make_deterministic(device: torch.device) -> None:
    """Make PyTorch use deterministic kernels on a CUDA device; nothing changes for a CPU.

    PyTorch warns of an operation that has no deterministic kernel. Its results may differ in the last digits between
    two runs (PyTorch's notes on reproducibility).
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Deterministic mode also fills all new memory, to show reads of it: one more launch for every new tensor.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
