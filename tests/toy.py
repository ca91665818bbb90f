"""Shared by the tests that train: seed, threads, and a study that is run once for all of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from harness.core.machine import available_cores

ROOT = Path(__file__).parent.parent
SEED = int(os.environ.get("HARNESS_TEST_SEED", "0"))
"""Of every study and training; ``make test-numerics`` tries several."""
THREADS = int(os.environ.get("HARNESS_TEST_THREADS", "1"))
"""Of PyTorch: the tensors are small, and more threads than free cores are ruinous."""
WORKERS = str(max(1, min(2, available_cores() // THREADS)))
STUDY = ["--study", "quick", "--name", "toy", "--trials", "3", "--seed", str(SEED), "--pruner", "none"]
STUDY += ["--tracking-uri", "none", "--device", "cpu", "--threads", str(THREADS)]


class Toy(NamedTuple):
    """A study that the command ran to its end: its folder, what it printed, and the logs and errors beside that."""

    folder: Path
    output: str
    errors: str

    @property
    def runs(self) -> Path:
        """The folder of all studies."""
        return self.folder.parent


def start(module: str, arguments: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start ``python -m module`` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        start_new_session=True,
        # A background job of a shell ignores Ctrl-C, and so would everything that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return a process's exit code and what it printed on stdout and stderr."""
    output, errors = process.communicate(timeout=400)
    return process.returncode, output, errors
