from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.data.faces import FaceSet
from harness.errors import Preempted
from harness.models.detector import Detector
from harness.training.job import Job, TrainResult
from tests.planted_latencies import planted
from tests.pool import Pool
from tests.search.stub import Plan, Stub

SPEED: dict[str, Any] = {
    "fps": 50.0,
    "latency_ms": 20.0,
    "latency_iqr_ms": 1.0,
    "ratio_to_v1": 1.25,
    "reference_fps": 40.0,
}
SPEED |= {"device": "cpu", "threads": 1, "size": 64, "runs": 3, "folded": True}


@pytest.fixture
def stub(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Studies without training, speed measurement or report; latencies of parts are planted."""
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "cache").symlink_to(cache)

    def train(job: Job, on_epoch: Any, on_batch: Any) -> TrainResult:  # noqa: ARG001
        steps = Plan().train(job)
        answer = on_epoch(next(steps))
        while True:
            try:
                answer = on_epoch(steps.send(answer))
            except StopIteration as ended:
                result: TrainResult = ended.value
                return result

    def build_report(folder: Path) -> Path:
        (folder / "report").mkdir(exist_ok=True)
        (folder / "report" / "report.md").touch()
        return folder / "report" / "report.md"

    def nothing(_: Detector, faces: FaceSet, *__: Any, **___: Any) -> list[NDArray[np.float32]]:
        return [np.zeros((0, 15), dtype=np.float32)] * len(faces)

    def use(plan: Plan) -> None:
        def pool(_: Any, count: int, threads: int) -> Pool:  # noqa: ARG001
            interruption = Preempted if plan.preempts else KeyboardInterrupt
            return Pool(plan.work, count, order=plan.order, interrupt=plan.interrupt, interruption=interruption)

        monkeypatch.setattr("harness.search.run.Processes", pool)

    monkeypatch.setattr("harness.training.teacher.train", train)
    monkeypatch.setattr("harness.search.resources.available_cores", lambda: 8)
    monkeypatch.setattr("harness.training.grade.predict", nothing)
    monkeypatch.setattr("harness.search.speeds.build", lambda _: None)
    monkeypatch.setattr("harness.search.speeds.measure", lambda *_: dict(SPEED))
    monkeypatch.setattr("harness.search.run.ensure_latencies", lambda wanted, *_: planted(wanted))
    monkeypatch.setattr("harness.reporting.build_report", build_report)
    return Stub(runs, use)
