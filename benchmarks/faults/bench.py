"""``Bench``: disturbs studies and adds up what became of them. Several threads may use it at once."""

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from benchmarks.faults.outcome import Outcome, best, compare
from benchmarks.faults.planted import Planted
from benchmarks.faults.registry import FAULTS
from benchmarks.faults.study import Disturbed, FaultError
from harness.core.arch import ARCHS
from harness.models.builder import build
from harness.models.weights import save_weights

MOST_STUDIES = 100
"""Of a fault: at random moments, it may come too late for a study."""


class SkippedError(Exception):
    """A fault needs what this machine lacks; the message says what."""


@dataclass
class Row:
    """A row of the table.

    Attributes:
        fault: its name.
        repetitions: how often the fault happened.
        studies: number of studies that it happened to; ``runs``: how often their command was started in all.
        outcome: of their trials.
        notes: what the fault measured: the largest value of each.
        error: why a study did not end as it must; ``skipped``: why the fault could not happen here.
    """

    fault: str
    repetitions: int = 0
    studies: int = 0
    runs: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    notes: dict[str, float] = field(default_factory=dict)
    error: str = ""
    skipped: str = ""

    @property
    def clean(self) -> bool:
        """Whether everything ended as it must."""
        return not self.error and self.outcome.clean

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "outcome": asdict(self.outcome), "clean": self.clean, "what": FAULTS[self.fault].what}


@dataclass
class Bench:
    """Where studies are disturbed.

    Args:
        folder: an empty folder.
        seed: of all random moments.

    Attributes:
        undisturbed: the study without faults.
    """

    folder: Path
    seed: int = 0

    def __post_init__(self) -> None:
        self._lock, self._made = threading.Lock(), 0
        first = self.study()
        first.finish()  # Makes images and the teacher.
        shutil.rmtree(first.folder)
        begun = time.monotonic()
        first.finish()
        self.undisturbed = first
        first.seconds = time.monotonic() - begun
        # A trial that fails by a fault must not be the best one.
        self.failing = next(label for label in ("0001", "0002") if label != best(first)[0])
        self.infinite = self.folder / "infinite.safetensors"
        detector = build(ARCHS["v1"])
        with torch.no_grad():
            next(detector.backbone.parameters()).fill_(float("inf"))
        save_weights(detector, self.infinite)

    def study(self, runs: Path | None = None, *, shares: bool = True, **given: Any) -> Disturbed:
        """Return a new study; it ``shares`` images and teacher with the undisturbed one, or has copies of its own."""
        with self._lock:
            self._made += 1
            runs = runs or self.folder / f"{self._made:03d}"
            log = self.folder / f"{self._made:03d}.log"
        runs.mkdir(exist_ok=True)
        given["planted"] = Planted(**given.get("planted", {}))
        known: Disturbed | None = getattr(self, "undisturbed", None)
        if known is None:
            return Disturbed(runs, log, 60.0, **given)
        for name in ("cache", "teachers"):
            if shares:
                (runs / name).symlink_to(known.runs / name)
            else:
                shutil.copytree(known.runs / name, runs / name)
        return Disturbed(runs, log, known.seconds, **given)

    def compare(self, study: Disturbed, failing: str = "", tracked: Counter[str] | None = None) -> Outcome:
        """Return the outcome of a study that has ended."""
        return compare(study, self.undisturbed, failing, tracked)

    def measure(self, fault: str, repetitions: int, say: Callable[[str], None]) -> Row:
        """Let a fault happen ``repetitions`` times, to one study after the other, and return its row.

        Args:
            fault: its name.
            repetitions: how often.
            say: called with a line after every study.
        """
        row, disturb = Row(fault), import_module(f"benchmarks.faults.{fault}").disturb
        while row.repetitions < repetitions and row.studies < MOST_STUDIES:
            most = min(repetitions - row.repetitions, FAULTS[fault].a_study)
            try:
                happened = disturb(self, random.Random(f"{self.seed} {fault} {row.studies}"), most)
            except SkippedError as reason:
                row.skipped = str(reason)
                break
            except Exception as error:  # The other rows are still of use.
                row.error = str(error) if isinstance(error, FaultError) else repr(error)
                break
            for study in happened.studies:
                row.runs += study.started
                row.notes |= {name: max(value, row.notes.get(name, 0.0)) for name, value in study.notes.items()}
            row.studies += len(happened.studies)
            row.outcome += happened.outcome
            row.repetitions += happened.times
            say(f"{fault}: {row.repetitions:,} of {repetitions:,}")
        if row.error or row.skipped:
            say(f"{fault}: {row.error or row.skipped}")
        elif row.repetitions < repetitions:
            row.error = f"it happened {row.repetitions:,} times only"
        return row


@dataclass(frozen=True)
class Happened:
    """What ``disturb`` did: how often its fault happened, to which studies, and what became of their trials."""

    times: int
    outcome: Outcome
    studies: tuple[Disturbed, ...]
