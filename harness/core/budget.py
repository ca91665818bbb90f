"""Budgets: upper bounds on the cost of a candidate, and the measures of cost."""

import math
from dataclasses import dataclass

from harness.core.limits import require, require_bounded

_UNITS = {
    "params": "parameters",
    "with_buffers": "parameters and buffers",
    "deployed": "parameters once deployed",
    "bytes": "bytes of weights",
    "latency": "millionths of V1's latency",
}


@dataclass(frozen=True)
class Measure:
    """One measure of a network's cost.

    Attributes:
        name: ``params`` (every ``nn.Parameter``), ``with_buffers`` (parameters and BatchNorm buffers), ``deployed``
            (parameters after BatchNorms are folded into the convolutions straight before them), ``bytes`` (all tensors
            of the weights file, without its header), ``macs`` (MACs of convolutions and linears) or ``latency``
            (predicted, in units of V1's / ``LATENCY_UNIT``).
        size: side of the square input image for MACs, pixels; 0 for the other measures.
    """

    name: str
    size: int = 0

    def __str__(self) -> str:
        return _UNITS.get(self.name, f"MACs at {self.size}×{self.size}")

    def text(self, value: int) -> str:
        """Return a value with its unit."""
        return f"{value / LATENCY_UNIT:g} × V1's latency" if self.name == "latency" else f"{value:,} {self}"


PARAMS = Measure("params")
LATENCY = Measure("latency")

LATENCY_UNIT = 1_000_000
"""Latencies are counted in V1's latency divided by this: as integers, so that they add up exactly."""


@dataclass(frozen=True)
class Budget:
    """Upper bounds on the cost of a candidate; None is no bound.

    Attributes:
        max_params: number of parameters; every ``nn.Parameter`` counts, frozen or not.
        max_with_buffers: number of elements of all parameters and buffers.
        max_deployed: parameters after folding every BatchNorm into the convolution straight before it.
        max_macs: MACs of convolutions and linears for one image of ``macs_size`` × ``macs_size`` pixels.
        macs_size: side of that image, pixels; used only with ``max_macs``.
        max_bytes: bytes of all tensors of the float32 weights file, buffers included. The file's header, which holds
            names and shapes, is not counted.
        max_latency_ratio: predicted latency as a multiple of V1's. It has no closed form, but needs a
            ``LatencyTable`` of the machine at hand.
    """

    max_params: int = 256_148
    max_with_buffers: int | None = None
    max_deployed: int | None = None
    max_macs: int | None = None
    macs_size: int = 640
    max_bytes: int | None = None
    max_latency_ratio: float | None = None

    def __post_init__(self) -> None:
        ratio = self.max_latency_ratio
        require(
            ratio is None or 1 / LATENCY_UNIT <= ratio < math.inf,
            f"max_latency_ratio is a multiple of V1's latency, a number above 0, got {ratio}",
        )
        require_bounded(self)
        require(self.macs_size > 0, f"macs_size must be a positive number of pixels, got {self.macs_size:,}")
        for measure, limit in self.bounds:
            require(limit > 0, f"budget must be a positive number of {measure}, got {limit:,}")

    @property
    def bounds(self) -> tuple[tuple[Measure, int], ...]:
        """Return (measure, limit) for every bound, parameters first."""
        limits = {
            PARAMS: self.max_params,
            Measure("with_buffers"): self.max_with_buffers,
            Measure("deployed"): self.max_deployed,
            Measure("macs", self.macs_size): self.max_macs,
            Measure("bytes"): self.max_bytes,
            LATENCY: None if self.max_latency_ratio is None else round(LATENCY_UNIT * self.max_latency_ratio),
        }
        return tuple((measure, limit) for measure, limit in limits.items() if limit is not None)

    def __str__(self) -> str:
        return " and ".join(measure.text(limit) for measure, limit in self.bounds)
