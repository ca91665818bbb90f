"""The disk is full while a study writes checkpoints, records and its database; later it has room again."""

import os
import random
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.faults.bench import Bench, Happened, SkippedError
from benchmarks.faults.study import pause

SIZE = "96m"


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Fill the disk of a study at most ``most`` times; the command ends with one line, and is started again."""
    with small_disk() as disk:
        study, times, ended = bench.study(disk / "runs", may_refuse=True), 0, False
        filler = disk / "filler"
        while not ended:
            with study.running() as process:
                if times < most and pause(rng.uniform(0, bench.undisturbed.seconds), process):
                    fill(filler)
                    times += 1
                ended = study.wait(process)
            filler.unlink(missing_ok=True)
        return Happened(times, bench.compare(study), (study,))


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(2**16)):
            pass


@contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a small file system in memory.

    Raises:
        SkippedError: only an administrator may.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=700", "tmpfs", folder]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            raise SkippedError("only an administrator may mount a small file system")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)  # A process may still end.
