"""What this process may use of the machine it runs on."""

import os
from pathlib import Path


def available_cores() -> int:
    """Return how many cores this process may use: its affinity where the system has one, and a container's quota."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only.
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores
