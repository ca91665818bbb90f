"""Workers in this process: a ``harness.search.pool.Pool`` without processes, for tests that train."""

from typing import Any

from harness.errors import HarnessError, NonFiniteLossError
from harness.search.pool import Event, Work


class Pool:
    """Trains one job at a time. ``started`` has the labels of all jobs, of every pool."""

    started: list[str]

    def __init__(self, work: Work, *_: int) -> None:
        self._work = work
        self._job: tuple[str, Any] | None = None

    def ready(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def idle(self) -> int:
        return int(self._job is None)

    def start(self, label: str, job: Any) -> None:
        assert self.idle
        self.started.append(label)
        self._job = label, job

    def answer(self, label: str, go_on: bool) -> None:
        assert label
        assert go_on

    def wait(self, timeout: float | None = None) -> list[Event]:  # noqa: ARG002
        assert self._job is not None
        label, job = self._job
        self._job = None
        events: list[Event] = []

        def on_epoch(info: dict[str, Any]) -> bool:
            events.append(Event("epoch", label, info))
            return True

        try:
            events.append(Event("result", label, self._work(job, on_epoch)))
        except NonFiniteLossError as error:
            events.append(Event("failed", label, str(error)))
        except HarnessError as error:
            events.append(Event("fatal", label, error))
        return events
