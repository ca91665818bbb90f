"""Workers in this process: a ``harness.search.pool.Pool`` without processes."""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from harness.errors import HarnessError, NonFiniteLossError
from harness.search.pool import Event, Work

Steps = Generator[dict[str, Any], bool, Any]
"""A job: yields what it reports after every epoch, receives whether to continue, and returns its result."""


class KilledError(Exception):
    """A worker was killed from outside; ``exhausted``: because memory was exhausted."""

    def __init__(self, cause: str, *, exhausted: bool = False) -> None:
        super().__init__(cause)
        self.exhausted = exhausted


@dataclass
class _Worker:
    label: str
    steps: Steps
    answer: bool | None = None
    waiting: bool = False


class Pool:
    """As ``harness.search.workers.Pool``; ``wait`` gets one job, drawn at random, to its next event.

    Args:
        work: makes the steps of a job.
        count: number of workers.
        order: seed of the order in which jobs side by side get on.
        interrupt: number of the event at which ``interruption`` is raised; None never.
        started: the labels of all jobs that are started are appended.
    """

    def __init__(
        self,
        work: Callable[[Any], Steps],
        count: int,
        *,
        order: int = 0,
        interrupt: int | None = None,
        interruption: type[BaseException] = KeyboardInterrupt,
        started: list[str] | None = None,
    ) -> None:
        self._work = work
        self._count = count
        self._draw = random.Random(order)
        self._interrupt, self._interruption = interrupt, interruption
        self._started = [] if started is None else started
        self._workers: dict[str, _Worker] = {}
        self._events = 0

    def ready(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def idle(self) -> int:
        return self._count - len(self._workers)

    @property
    def running(self) -> list[str]:
        """The labels of the jobs that have not ended."""
        return list(self._workers)

    def start(self, label: str, job: Any) -> None:
        assert self.idle
        self._started.append(label)
        self._workers[label] = _Worker(label, self._work(job))

    def answer(self, label: str, go_on: bool) -> None:
        worker = self._workers[label]
        assert worker.waiting
        worker.waiting, worker.answer = False, go_on

    def wait(self, timeout: float | None = None) -> list[Event]:  # noqa: ARG002
        if self._events == self._interrupt:
            raise self._interruption
        self._events += 1
        able = sorted(label for label, worker in self._workers.items() if not worker.waiting)
        worker = self._workers[self._draw.choice(able)]
        try:
            info = next(worker.steps) if worker.answer is None else worker.steps.send(worker.answer)
            worker.waiting = True
            return [Event("epoch", worker.label, info)]
        except StopIteration as ended:
            event = Event("result", worker.label, ended.value)
        except KilledError as error:
            event = Event("killed", worker.label, str(error), exhausted=error.exhausted)
        except NonFiniteLossError as error:
            event = Event("failed", worker.label, str(error))
        except (HarnessError, OSError) as error:
            event = Event("fatal", worker.label, error)
        except Exception as error:
            event = Event("failed", worker.label, str(error), "Traceback")
        del self._workers[worker.label]
        return [event]


def whole(work: Work) -> Callable[[Any], Steps]:
    """Return the steps of real work, which is done at once; every epoch that it reports is continued."""

    def steps(job: Any) -> Steps:
        reported: list[dict[str, Any]] = []

        def on_epoch(info: dict[str, Any]) -> bool:
            reported.append(info)
            return True

        result = work(job, on_epoch)
        for info in reported:
            assert (yield info)
        return result

    return steps
