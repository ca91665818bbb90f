import errno
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from harness.errors import DataError, HarnessError, NonFiniteLossError
from harness.search import workers
from harness.search.pool import Event
from harness.search.workers import Processes

pytestmark = pytest.mark.slow


def work(job: str, on_epoch: Callable[[dict[str, Any]], bool]) -> Any:
    """Runs in a worker: two epochs, or what the job says."""
    if job == "diverge":
        raise NonFiniteLossError("the loss is not finite: class nan, box 1.2")
    if job == "defect":
        raise ValueError("a defect\nin two lines")
    if job == "no data":
        raise DataError("images/7.jpg is broken")
    if job == "disk full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "last.pt")
    if job in ("SIGKILL", "SIGTERM", "SIGBUS", "SIGSEGV"):
        os.kill(os.getpid(), signal.Signals[job])
    for epoch in (1, 2):
        if not on_epoch({"epoch": epoch}):
            return f"{job} stopped after {epoch}"
    return {"threads": torch.get_num_threads(), "variable": os.environ["OMP_NUM_THREADS"], "pid": os.getpid()}


@pytest.fixture(scope="module")
def pool() -> Iterator[Processes]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "7")
        pool = Processes(work, count=2, threads=1)
    pool.ready()
    yield pool
    pool.close()


def events(pool: Processes, count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += pool.wait()
    return sorted(found, key=lambda event: event.label)


def test_two_concurrent_jobs_each_wait_for_an_answer(pool: Processes) -> None:
    pool.start("a", "a")
    pool.start("b", "b")
    assert pool.idle == 0
    for epoch in (1, 2):
        assert [(e.kind, e.label, e.content) for e in events(pool, 2)] == [
            ("epoch", "a", {"epoch": epoch}),
            ("epoch", "b", {"epoch": epoch}),
        ]
        pool.answer("a", go_on=True)
        pool.answer("b", go_on=epoch < 2)
    first, second = events(pool, 2)
    assert first.content["threads"] == 1
    assert first.content["variable"] == "1"
    assert (second.kind, second.content) == ("result", "b stopped after 2")
    assert pool.idle == 2


def test_a_variable_set_for_the_workers_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = dict(os.environ)
    pool = Processes(work, count=1, threads=1)
    after = dict(os.environ)
    pool.close()
    assert after == before


def test_errors_of_a_job_are_classified(pool: Processes) -> None:
    pool.start("a", "diverge")
    pool.start("b", "defect")
    diverged, defect = events(pool, 2)
    assert (diverged.kind, diverged.content) == ("failed", "the loss is not finite: class nan, box 1.2")
    assert (defect.kind, defect.content) == ("failed", "ValueError: a defect")
    assert "in two lines" in defect.details
    pool.start("a", "no data")
    pool.start("b", "disk full")
    data, disk = events(pool, 2)
    assert (data.kind, type(data.content)) == ("fatal", DataError)
    assert (disk.kind, disk.content.errno, disk.content.filename) == ("fatal", errno.ENOSPC, "last.pt")


@pytest.mark.parametrize(
    ("number", "kind", "cause"),
    [
        ("SIGKILL", "killed", "its process was killed by SIGKILL (perhaps out of memory)"),
        ("SIGTERM", "killed", "its process was killed by SIGTERM"),
        ("SIGBUS", "killed", "its process was killed by SIGBUS"),
        ("SIGSEGV", "failed", "its process was killed by SIGSEGV"),
    ],
)
def test_a_worker_that_dies_is_replaced_and_its_cause_is_reported(
    pool: Processes, number: str, kind: str, cause: str
) -> None:
    """A job fails if its process ends by itself, not if the process is killed from outside."""
    before = pool.pids()
    pool.start("a", number)
    (event,) = events(pool, 1)
    assert (event.kind, event.label, event.content) == (kind, "a", cause)
    assert pool.idle == 2
    assert len(set(pool.pids()) & set(before)) == 1
    pool.start("b", "b")
    assert events(pool, 1)[0].kind == "epoch"
    pool.answer("b", go_on=False)
    assert events(pool, 1)[0].content == "b stopped after 1"


def test_a_worker_that_was_killed_for_want_of_memory_is_told_apart(
    pool: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for counts, exhausted in (([3, 3], False), ([3, 4], True)):
        found = iter(counts)
        monkeypatch.setattr(workers, "memory_kills", lambda found=found: next(found))
        pool.start("a", "SIGKILL")
        (event,) = events(pool, 1)
        assert (event.kind, event.exhausted) == ("killed", exhausted)


def test_a_worker_whose_study_is_gone_ends_without_a_word() -> None:
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    workers._serve(theirs, work, torch.get_num_threads())


def test_a_worker_that_dies_idle_is_replaced_without_a_failure(pool: Processes) -> None:
    before = pool.pids()
    os.kill(before[0], signal.SIGKILL)
    assert pool.wait() == []
    assert len(set(pool.pids()) & set(before)) == 1
    pool.start("a", "a")
    assert events(pool, 1)[0].kind == "epoch"
    pool.answer("a", go_on=False)
    events(pool, 1)


def test_a_worker_that_never_starts_is_reported() -> None:
    pool = Processes(work, count=1, threads=1)
    os.kill(pool.pids()[0], signal.SIGKILL)
    with pytest.raises(HarnessError, match="a worker did not start: its process was killed by SIGKILL"):
        pool.ready()
    pool.close()
