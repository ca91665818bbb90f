"""The folder of runs that all tests of the table share."""

from pathlib import Path

import pytest
import torch

from benchmarks.tabular import prepared
from harness.core.arch import ARCHS
from harness.core.record import TrialRecord
from harness.models.builder import build
from harness.models.weights import save_weights
from harness.training.teacher import Teacher
from tests.benchmarks.tabular.stub import ap_of


@pytest.fixture
def runs(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs, where the teacher has random weights and no process is started."""
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "cache").symlink_to(cache)
    path = tmp_path / "v1.safetensors"
    with torch.random.fork_rng():
        save_weights(build(ARCHS["v1"]), path)
    record = TrialRecord("v1", "teacher", params=487_103, search_ap=ap_of("v1", 1, "search"), ap=ap_of("v1", 1, "val"))
    monkeypatch.setattr(prepared, "ensure_teacher", lambda *_, **__: Teacher(path, ARCHS["v1"], record))
    return runs
