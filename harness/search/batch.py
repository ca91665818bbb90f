"""``run_all``: runs jobs that have no epochs, such as scores, on all workers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.errors import HarnessError
from harness.search.pool import Event, Pool
from harness.search.progress import Progress


def run_all(
    following: Callable[[], tuple[str, Any] | None],
    pool: Pool,
    progress: Progress,
    ended: Callable[[Event], None],
    show: Callable[[], None],
) -> None:
    """Run jobs until there is none. One whose worker was killed is run once more.

    Args:
        following: returns the next job with its label; None if there is none before another one ends.
        pool: the workers, all idle.
        progress: receives a line where a worker was killed.
        ended: called with a job's event ``result`` or ``failed``, which it is also if memory was exhausted twice.
        show: displays how far it is; called after every change.

    Raises:
        HarnessError: a job's worker was killed for the second time; or another error that every later job would meet
            too.
    """
    jobs: dict[str, Any] = {}
    again: list[str] = []
    killed: set[str] = set()
    while True:
        while pool.idle:
            if again:
                label = again.pop()
            elif (new := following()) is not None:
                label, jobs[new[0]] = new[0], new[1]
            else:
                break
            pool.start(label, jobs[label])
        show()
        if not jobs:
            return
        for event in pool.wait():
            if event.kind == "fatal":
                raise event.content
            if event.exhausted and event.label in killed:
                event = replace(event, kind="failed")  # It would never end.
            if event.kind != "killed":
                del jobs[event.label]
                ended(event)
            elif event.label in killed:
                raise HarnessError(f"{event.label}: {event.content}, for the second time; the same command resumes")
            else:
                progress.line(f"{event.label}: {event.content}; it is run again")
                killed.add(event.label)
                again.append(event.label)
