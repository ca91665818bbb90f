"""The number of CPU cores that this process may use, and the processes that were killed for want of memory."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Linux's file with a container's CPU quota: microseconds of CPU time (or ``max``) and the period in microseconds."""

COUNTERS = Path("/proc/vmstat")
"""Linux's counters, one a line."""


def memory_kills() -> int:
    """Return how many processes the system has killed for want of memory since its start; 0 where it is unknown."""
    try:
        counters = dict(line.split() for line in COUNTERS.read_text(encoding="utf-8").splitlines())
        return int(counters.get("oom_kill", 0))
    except (OSError, ValueError):
        return 0


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
