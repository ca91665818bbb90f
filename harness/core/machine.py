"""What this machine gives to a process."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux states a container's share of the processors: microseconds of processor time per period, or ``max``."""


def available_cores() -> int:
    """Return how many cores this process may use, at least 1.

    That is the number of cores that the process is bound to (all of them where the system binds none, as on macOS),
    or a container's quota where that is smaller.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="utf-8").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores
