"""``Pool``: the workers of a study, as the search sees them, wherever they run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

Work = Callable[[Any, Callable[[dict[str, Any]], bool]], Any]
"""A function of a job and of a callback after every epoch, as ``training.loop.train``; defined at module level."""


@dataclass(frozen=True)
class Event:
    """An event of the job with this label.

    Attributes:
        kind: ``epoch`` (``content``: the epoch's dict; the worker waits for ``Pool.answer``), ``result`` (what the work
            returned), ``failed`` (the reason), ``killed`` (its process was killed from outside; the cause) or
            ``fatal`` (an exception that every other job would meet too).
        details: a traceback, where there is one.
        exhausted: whether it was killed while the system killed processes because memory was exhausted.
    """

    kind: str
    label: str
    content: Any
    details: str = ""
    exhausted: bool = False


class Pool(Protocol):
    """Workers that run jobs, one each. After every epoch a worker waits for the answer whether to continue.

    ``workers.Processes`` runs them on this machine, ``actors.Actors`` on a Ray cluster.
    """

    def ready(self) -> None:
        """Wait until the pool can work.

        Raises:
            HarnessError: it never will.
        """

    @property
    def idle(self) -> int:
        """Number of jobs that may be started now."""

    def start(self, label: str, job: Any) -> None:
        """Run a job."""

    def answer(self, label: str, go_on: bool) -> None:
        """Let the worker of ``label`` train its next epoch, or end the job."""

    def wait(self, timeout: float | None = None) -> list[Event]:
        """Wait for a message of a worker, at most ``timeout`` seconds, and return the events, possibly none."""

    def close(self) -> None:
        """End all workers without waiting for their jobs; checkpoints are written atomically."""
