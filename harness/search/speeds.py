"""``Stopwatch``: measures a network's speed relative to V1 while no worker trains. The weights are random."""

import time

from harness.core.arch import ARCHS, ArchConfig
from harness.core.evaluation import SpeedConfig
from harness.core.record import TrialRecord
from harness.evaluation.speed import measure
from harness.models.builder import build
from harness.models.detector import Detector

THREADS = 1
"""CPU threads while measuring, independent of the study's threads: all speeds share one protocol, and a second thread
would wait for other processes."""


class Stopwatch:
    """Measures the speed of records with one protocol.

    Args:
        config: image size and number of runs.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(self, config: SpeedConfig, device: str) -> None:
        self.config = config
        self.device = device
        self._reference: Detector | None = None

    def measure(self, record: TrialRecord) -> None:
        """Fill in ``record.speed`` and the seconds it took."""
        started = time.perf_counter()
        if self._reference is None:
            self._reference = build(ARCHS["v1"])
        candidate = build(ArchConfig.from_dict(record.arch))
        record.speed = measure(candidate, self._reference, self.config, self.device, THREADS)
        if record.arch == ARCHS["v1"].to_dict():
            record.speed["ratio_to_v1"] = 1.0  # By definition; measured, it would show noise.
        taken = time.perf_counter() - started
        record.seconds["speed"] = taken
        record.seconds["total"] = record.seconds.get("total", 0.0) + taken
