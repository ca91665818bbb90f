"""The number of CPU cores that this process may use."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Linux's file with a container's CPU quota: microseconds of CPU time (or ``max``) and the period in microseconds."""


def available_cores() -> int:
    """Return how many cores this process may use, at least 1.

    This is the number of cores in the process's CPU affinity (all cores on systems without it, such as macOS), or a
    container's quota if that is smaller.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="utf-8").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores
