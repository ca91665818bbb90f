"""``Processes``: worker processes of this machine that train networks concurrently.

Processes are spawned, not forked: a fork of a process that has used PyTorch's threads may hang. They live as long as
the study, so that libraries load once. After every epoch a worker waits for the answer whether to continue.
"""

import errno
import gc
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from harness.core.machine import memory_kills
from harness.core.processes import end_with_parent
from harness.errors import HarnessError, NonFiniteLossError, first_line
from harness.search.pool import Event, Work

_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGBUS)
"""Signals that a training does not raise itself: a user or a system short of memory killed the process, or a file that
it had mapped was cut off."""

_LEAVE = 10.0
"""Seconds that workers have for a checkpoint when they are ended."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class _Worker:
    """``memory_kills``: their number when the job was given."""

    process: SpawnProcess
    pipe: Connection
    label: str | None = None
    memory_kills: int = 0


class Processes:
    """``count`` worker processes of ``threads`` threads each, started at once.

    Args:
        work: function that runs a job.
        count: number of processes.
        threads: threads per process.
    """

    def __init__(self, work: Work, count: int, threads: int) -> None:
        self._work = work
        self._threads = threads
        self._context = multiprocessing.get_context("spawn")
        self._workers = [self._start() for _ in range(count)]

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work, self._threads))
        with _environment({name: str(self._threads) for name in _THREAD_VARIABLES}), _deaf_to_interrupts():
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def ready(self) -> None:
        """Wait until every worker has loaded its libraries.

        Raises:
            HarnessError: a worker ended before it was ready.
        """
        for worker in self._workers:
            try:
                worker.pipe.recv()
            except (EOFError, ConnectionResetError) as error:
                raise HarnessError(f"a worker did not start: {_cause_of_death(worker.process)}") from error

    @property
    def idle(self) -> int:
        """Workers without a job."""
        return sum(worker.label is None for worker in self._workers)

    def pids(self) -> list[int]:
        """Return the process ids."""
        return [worker.process.pid or 0 for worker in self._workers]

    def start(self, label: str, job: Any) -> None:
        """Give a job to an idle worker."""
        worker = next(worker for worker in self._workers if worker.label is None)
        worker.label, worker.memory_kills = label, memory_kills()
        with suppress(BrokenPipeError, ConnectionResetError):  # It died while idle; ``wait`` reports that.
            worker.pipe.send(job)

    def answer(self, label: str, go_on: bool) -> None:
        """Let the worker of ``label`` train its next epoch, or end the job."""
        worker = next(worker for worker in self._workers if worker.label == label)
        with suppress(BrokenPipeError, ConnectionResetError):
            worker.pipe.send(go_on)

    def wait(self, timeout: float | None = None) -> list[Event]:
        """Wait for a message of a worker, at most ``timeout`` seconds, and return the events, possibly none.

        A worker that died is replaced; its job, if it had one, has failed or was killed.
        """
        by_pipe = {worker.pipe: worker for worker in self._workers}
        events = []
        for pipe in wait(list(by_pipe), timeout):
            assert isinstance(pipe, Connection)
            worker = by_pipe[pipe]
            try:
                kind, content, details = pipe.recv()
            except (EOFError, ConnectionResetError):
                if worker.label is not None:
                    cause = _cause_of_death(worker.process)
                    number = -(worker.process.exitcode or 0)
                    exhausted = number == signal.SIGKILL and memory_kills() > worker.memory_kills
                    kind = "killed" if number in _FROM_OUTSIDE else "failed"
                    events.append(Event(kind, worker.label, cause, exhausted=exhausted))
                self._replace(worker)
                continue
            if kind == "ready":
                continue
            assert worker.label is not None
            events.append(Event(kind, worker.label, content, details))
            if kind != "epoch":
                worker.label = None
        return events

    def _replace(self, worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.join()
        self._workers[self._workers.index(worker)] = self._start()

    def close(self) -> None:
        """End all workers without waiting for their jobs; a training writes a checkpoint after its present step."""
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + _LEAVE
        for worker in self._workers:
            worker.process.join(timeout=max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._workers = []


def _cause_of_death(process: SpawnProcess) -> str:
    process.join()
    code = process.exitcode or 0
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"its process was killed by {name}" + (" (perhaps out of memory)" if name == "SIGKILL" else "")


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes started meanwhile: libraries read them once, when they load."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Let processes started meanwhile ignore Ctrl-C, which reaches the whole group: the study ends its workers."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, work: Work, threads: int) -> None:
    """Run jobs until the pipe closes."""
    end_with_parent()  # An orphan must not write checkpoints while the study is resumed.
    _pin(threads)

    def on_epoch(info: dict[str, Any]) -> bool:
        pipe.send(("epoch", info, ""))
        return bool(pipe.recv())

    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send(("ready", None, ""))
        while True:
            job = pipe.recv()
            pipe.send(_attempt(work, job, on_epoch))


def _attempt(work: Work, job: Any, on_epoch: Callable[[dict[str, Any]], bool]) -> tuple[str, Any, str]:
    try:
        return "result", work(job, on_epoch), ""
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise
    except NonFiniteLossError as error:
        return "failed", str(error), ""
    except HarnessError as error:
        return "fatal", error, ""
    except OSError as error:
        return "fatal", OSError(error.errno, error.strerror, error.filename), ""
    except Exception as error:  # Any other error of a candidate must not end the study.
        gc.collect()
        if any(name in str(error) for name in ("No space left", "ENOSPC")):
            return "fatal", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ""
        return "failed", f"{type(error).__name__}: {first_line(error)}", traceback.format_exc()


def _pin(threads: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
