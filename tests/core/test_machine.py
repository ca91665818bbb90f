import os
from pathlib import Path

import pytest

from harness.core import machine
from harness.core.machine import available_cores, memory_kills


@pytest.fixture(autouse=True)
def quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the container's quota where a test can write it; there is none yet."""
    path = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "QUOTA", path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5, 6, 7}, raising=False)
    return path


def test_cores_are_those_that_the_process_is_bound_to() -> None:
    assert available_cores() == 6


@pytest.mark.parametrize(("there", "found"), [(12, 12), (None, 1)])
def test_all_cores_count_where_the_system_binds_none(
    there: int | None, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: there)
    assert available_cores() == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("260000 100000", 3),
        ("10000 100000", 1),
        ("900000 100000", 6),
        ("max 100000", 6),
        ("", 6),
    ],
)
def test_a_containers_quota_bounds_them(text: str, found: int, quota: Path) -> None:
    quota.write_text(text)
    assert available_cores() == found


@pytest.mark.parametrize(("text", "found"), [("pgfault 7\noom_kill 3\n", 3), ("pgfault 7\n", 0), ("oom_kill", 0)])
def test_kills_for_want_of_memory_are_counted(
    text: str, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "COUNTERS", tmp_path / "vmstat")
    assert memory_kills() == 0
    (tmp_path / "vmstat").write_text(text)
    assert memory_kills() == found
