"""A study as a run leaves it on disk and reports it to a tracker, without training anything."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from harness.core.arch import ARCHS, SLOTS
from harness.core.manifest import Manifest, Space, Standing
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord
from harness.models.builder import build
from harness.models.weights import save_weights
from harness.tracking import MLflowTracker, Tracker, default_uri
from harness.tracking.store import _client
from tests.fake_landmarks import landmark_error
from tests.fake_manifest import fake_manifest

PATIENCE = 120.0
"""Seconds that a test waits for something that takes two on an idle machine."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"still false after {PATIENCE} s"
        time.sleep(0.02)


def make_study(name: str, wanted: int = 3) -> Manifest:
    config = StudyConfig(name, "Students under the budget.", "v2_light", trials=wanted)
    space = {"name": "v2_light", "axes": [{"name": "neck.channels", "values": [24, 32]}]}
    standing = Standing(
        trials={"complete": 0, "pruned": 0, "failed": 0, "running": 0, "wanted": wanted},
        timing={"total": 500.0, "overhead_share": 0.031},
    )
    return fake_manifest(config, space=Space(space, "5bace0000000", 124_416, 30_000, 21_345), standing=standing)


def finish(study: Manifest, best: str = "0000") -> Manifest:
    standing = study.standing
    trials = standing.trials | {"complete": standing.trials["wanted"]}
    return replace(study, standing=replace(standing, best=best, trials=trials))


def make_record(label: str, epochs: int = 4, state: str = "running") -> TrialRecord:
    candidate = label.isdigit()
    parts = dict(zip(SLOTS, (213_072, 6_600, 26_068, 868, 6_192, 1_056, 2_292), strict=True))
    record = TrialRecord(
        label,
        "candidate" if candidate else "teacher" if label == "v1" else "reference",
        number=int(label) if candidate else None,
        state=state,
        seed=7,
        configuration={"neck.channels": 32, "distill.temperature": 4.0} if candidate else {},
        arch=ARCHS["v1" if label == "v1" else "v2"].to_dict(),
        distill={} if label == "v1" else {"temperature": 4.0, "alpha": 0.7, "feature_weight": 0.5},
        params=sum(parts.values()),
        parts=parts,
        macs=410_568_000,
        size_mb=1.05,
        protocol={"evaluation": "e"},
    )
    for epoch in range(1, epochs + 1):
        ap = {"easy": 0.2 * epoch, "medium": 0.15 * epoch, "hard": None, "mean": 0.1 * epoch}
        losses = {"box": 2 / epoch, "class": 3 / epoch, "landmark": 1 / epoch}
        record.epochs.append({"epoch": epoch, "losses": losses, "ap": ap, "lr": 1e-3, "seconds": 2.5})
    if state == "complete":
        record.search_ap = {"easy": 0.9, "medium": 0.7, "hard": None, "mean": 0.8}
        record.search_protocol = {"evaluation": "e", "split": "search"}
        if label != "0001":  # Not the best, so the report does not grade it.
            record.ap = {"easy": 0.912_345, "medium": 0.8, "hard": 0.7, "mean": 0.804_115}
        record.curves = {"easy": {"precision": [1.0], "recall": [0.0]}}
        record.landmark = landmark_error(0.05)
        record.speed = {
            "fps": 28.1,
            "latency_ms": 35.6,
            "ratio_to_v1": 1.41,
            "device": "cpu",
            "threads": 1,
            "size": 640,
        }
        record.seconds = {"train": 10.0, "total": 14.0}
    if state in ("pruned", "failed"):
        record.reason = "below the median" if state == "pruned" else "loss is not finite: box nan"
    return record


def stored_runs(uri: str, experiment: str) -> dict[str, Any]:
    """Return run name → run, as MLflow's own client reads it; no name may occur twice."""
    client = _client(uri)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    runs = client.search_runs([found.experiment_id], max_results=1000)
    names = [run.info.run_name for run in runs]
    assert len(names) == len(set(names)), f"a run was sent twice: {sorted(names)}"
    return {run.info.run_name: run for run in runs}


class Folder:
    """A study's folder as a run leaves it, and what a store holds about it."""

    def __init__(self, runs: Path, name: str) -> None:
        self.path = runs / name
        self.name = name
        self.study = make_study(name)
        self.warnings: list[str] = []
        self.path.mkdir(parents=True, exist_ok=True)
        self.study.save(self.path)

    def tracker(self, uri: str | None = None) -> MLflowTracker:
        return MLflowTracker(uri or default_uri(self.path.parent), self.path, self.name, self.warnings.append)

    def run(self, tracker: Tracker, labels: Sequence[str] = ("v1", "v2", "0000"), epochs: int = 4) -> None:
        """Report what a study reports: each record at the start, after every epoch, and at the end."""
        for label in labels:
            for record in [make_record(label, done) for done in range(epochs + 1)] + [
                make_record(label, epochs, "complete")
            ]:
                record.save(self.path / "trials" / label)
                tracker.trial(record)

    def weights(self, label: str) -> Path:
        """Write random weights of V2, which the record of a student describes, and return their file."""
        path = self.path / "trials" / label / "weights.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(0)
        save_weights(build(ARCHS["v2"]), path)
        return path

    def runs(self, uri: str | None = None) -> dict[str, Any]:
        return stored_runs(uri or default_uri(self.path.parent), self.name)

    def history(self, run: Any, metric: str, uri: str | None = None) -> list[tuple[int, float]]:
        points = _client(uri or default_uri(self.path.parent)).get_metric_history(run.info.run_id, metric)
        return sorted((point.step, point.value) for point in points)
