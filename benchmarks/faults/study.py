"""``Disturbed``: a tiny study in a folder of its own, started again and again until it has ended."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults.planted import VARIABLE, Planted
from harness.core.record import TrialRecord, load_records

ROOT = Path(__file__).parents[2]
NAME, TRIALS = "faults", 3
OPTIONS = ["--study", "quick", "--trials", str(TRIALS), "--references", "", "--pruner", "none", "--sampler", "random"]
OPTIONS += ["--train-images", "24", "--search-images", "8", "--val-images", "8"]
OPTIONS += ["--device", "cpu", "--threads", "1", "--workers", "1", "--json"]

ENDS = (0, 1, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGBUS)
"""Exit codes of a study that may be disturbed; any other is a defect."""

ANSWERS = ("error: ", "interrupted; ")
"""How the last line of a command begins that ends with 1 or 2."""

MOST_RUNS = 60
"""After so many runs without an end, a study has failed."""


class FaultError(Exception):
    """The harness did what it must not do."""


@dataclass
class Disturbed:
    """A study that is disturbed.

    Attributes:
        runs: its ``--runs``.
        log: where its command's messages go, those of the last start at the end.
        seconds: how long it takes undisturbed.
        name: its name.
        planted: faults inside its processes.
        storage, tracking: as ``--storage`` and ``--tracking-uri``.
        may_refuse: whether its command may refuse to start, because what it needs is away.
        started: number of times that its command was started.
        notes: what a fault measured, for the table.
    """

    runs: Path
    log: Path
    seconds: float
    name: str = NAME
    planted: Planted = field(default_factory=Planted)
    storage: str = ""
    tracking: str = "none"
    may_refuse: bool = False
    started: int = 0
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Its folder."""
        return self.runs / self.name

    @property
    def url(self) -> str:
        """The address of its trials."""
        return self.storage or f"sqlite:///{self.folder / 'study.db'}"

    def start(self) -> subprocess.Popen[bytes]:
        """Start its command, in a process group of its own."""
        self.started += 1
        if self.started > MOST_RUNS:
            raise FaultError(f"the study does not end: {self.last_words()}")
        command = [sys.executable, "-m", "benchmarks.faults.planted", *OPTIONS, "--runs", str(self.runs)]
        command += ["--name", self.name, "--tracking-uri", self.tracking]
        command += ["--storage", self.storage] if self.storage else []
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | {VARIABLE: json.dumps(asdict(self.planted)), "PYTHONPATH": str(ROOT)},
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start its command, and make sure that nothing of it is left afterwards."""
        process = self.start()
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def wait(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for the command's end, and return whether the study has ended.

        Raises:
            FaultError: it takes far too long, or it ended in another way than it may.
        """
        try:
            code = process.wait(timeout=120 + 20 * self.seconds)
        except subprocess.TimeoutExpired as error:
            raise FaultError(f"the study hangs: {self.last_words()}") from error
        accepted = code in ENDS or (code == 2 and self.may_refuse)
        answered = code not in (1, 2) or any(line.startswith(ANSWERS) for line in self._lines()[-5:])
        if not accepted or not answered:
            raise FaultError(f"exit code {code}: {self.last_words()}")
        return code == 0

    def finish(self) -> None:
        """Run its command until the study has ended."""
        ended = False
        while not ended:
            with self.running() as process:
                ended = self.wait(process)

    def last_words(self) -> str:
        """Return the last lines of its messages."""
        return " | ".join(self._lines()[-6:])

    def _lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()

    def records(self) -> dict[str, TrialRecord]:
        """Return its records by label."""
        return {record.label: record for record in load_records(self.folder)}


def workers(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the workers of a study's process; none once it has ended."""
    try:
        children = psutil.Process(process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[bytes], seconds: float = 60.0) -> bool:
    """Wait until a condition holds, and return whether it did before the process ended."""
    deadline = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def pause(seconds: float, process: subprocess.Popen[bytes]) -> bool:
    """Wait, and return whether the process still runs then."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False
