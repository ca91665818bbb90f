"""``Provenance``: the code, libraries and machine that produced a result. It is stored with the result."""

import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import harness
from harness.core.machine import available_cores

_LIBRARIES = {"torch": "torch", "numpy": "numpy", "optuna": "optuna", "opencv": "opencv-python-headless"}
"""Name in reports → distribution: the libraries whose version can change a result."""


@dataclass(frozen=True)
class Provenance:
    """The origin of a result.

    Attributes:
        commit: commit hash of the code, followed by ``+`` if tracked files differ from it; None outside git.
        versions: library → version, ``python`` and ``harness`` included.
        machine: ``cpu``, ``cores``, ``system``, ``device`` (``cpu`` or the name of the GPU), and ``precision``
            (``float32`` or ``bfloat16``) of a training's forward and backward passes.
    """

    commit: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"commit {(self.commit or 'unknown')[:12]} on {self.machine.get('cpu', 'an unknown CPU')} ({listed})"


@cache
def provenance(device: str = "cpu", precision: str = "float32") -> Provenance:
    """Return the provenance of this process's results; the arguments are entries of ``Provenance.machine``."""
    versions = {"python": platform.python_version(), "harness": harness.__version__}
    versions |= {name: importlib.metadata.version(package) for name, package in _LIBRARIES.items()}
    machine = {"device": device, "cpu": _cpu(), "cores": str(available_cores()), "system": platform.system()}
    machine["precision"] = precision
    return Provenance(_commit(), versions, machine)


def _commit() -> str | None:
    here = Path(harness.__file__).parent
    command = ["git", "-C", str(here), "describe", "--always", "--abbrev=40", "--dirty=+", "--match="]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
