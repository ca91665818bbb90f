"""A change of the numerics must raise the version that keeps old and new results apart."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.training.job import TRAINING_VERSION
from tests.training.golden import RECORD, TOLERANCES, measure


def differing(name: str, tolerance: float, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was is None or now is None or now != pytest.approx(was, rel=TOLERANCES.get(key, tolerance), abs=1e-12):
            yield f"{name} {key}: {now} instead of {was}"


@pytest.mark.trains
def test_training_computes_what_its_version_computed(tmp_path: Path) -> None:
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))
    found = measure(tmp_path)
    changed = list(differing("weights", 0.0, recorded["weights"], found["weights"]))
    for name, old, new in zip(("first", "second"), recorded["steps"], found["steps"], strict=True):
        changed += differing(name, TOLERANCES[name], old, new)
    assert not changed, f"raise TRAINING_VERSION and run python -m tests.training.golden: {changed}"
    assert recorded["version"] == TRAINING_VERSION, "record the new version: python -m tests.training.golden"
