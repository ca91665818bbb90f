"""``Actors``: workers on the nodes of a Ray cluster, replaced when they or their nodes die."""

import pickle
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from harness.core.files import write_atomically
from harness.core.provenance import Provenance
from harness.errors import HarnessError
from harness.search.cluster import MARK, Share, Site
from harness.search.pool import Event, Work
from harness.search.workers import Processes

MOST_LOSSES = 10
"""A job whose actor ended so often since its last new epoch is probably the reason."""

_MOST_FAILED_STARTS = 10
"""Actors that ended in a row before they were ready; a further one would too."""

_PATIENCE = 30.0
"""Seconds until a study that waits for a first actor says so."""


@dataclass
class _Task:
    """A job that was started and has not ended.

    Attributes:
        packed: the work and the job.
        epoch, answer: the last epoch that was reported, and what was answered.
        losses: number of actors that it lost since.
    """

    label: str
    packed: bytes
    epoch: int = 0
    answer: bool = True
    losses: int = 0


@dataclass(eq=False)
class _Actor:
    """An actor, and what it does.

    Attributes:
        call: the call that it works on; None while nothing is expected of it.
        node: address of its node, once it is ready.
    """

    handle: Any
    call: Any
    node: str = ""
    task: _Task | None = None


class Actors:
    """Up to ``count`` actors, each with one worker process of ``threads`` threads on its node.

    A job waits for an actor, wherever the cluster has room for one. If its actor or the node ends, another one goes on
    from its last checkpoint; the epochs that it reports again are not reported twice.

    Args:
        work: function that runs a job.
        count: number of actors.
        threads: threads per worker process.
        share: what Ray reserves for an actor.
        folder: the study's folder, which all nodes share.
        made: provenance of what the searching process trains.
        side: side of a network's input in training, pixels.
        say: shows a line.
    """

    def __init__(
        self,
        work: Work,
        count: int,
        threads: int,
        share: Share,
        folder: Path,
        made: Provenance,
        side: int,
        say: Callable[[str], None],
    ) -> None:
        self._work, self._count, self._threads, self._say = work, count, threads, say
        self._site = Site(Path.cwd(), folder, secrets.token_hex(16), made, side)
        write_atomically(folder / MARK, self._site.mark.encode())
        self._host: Any = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus)(Host)
        self._queue: deque[_Task] = deque()
        self._failed_starts = 0
        self._actors = [self._new() for _ in range(count)]

    def _new(self) -> _Actor:
        handle = self._host.remote()
        return _Actor(handle, handle.prepare.remote(self._site, self._threads))

    def ready(self) -> None:
        """Wait until an actor is ready; the others join it when the cluster has room for them.

        Raises:
            HarnessError: a node cannot train for the study, or no actor starts.
        """
        begun = time.monotonic()
        while not any(actor.node for actor in self._actors):
            self.wait(_PATIENCE)
            if time.monotonic() - begun > _PATIENCE:
                self._say("waiting for the cluster: no actor has started yet")
                begun = time.monotonic()

    @property
    def idle(self) -> int:
        """Number of jobs that may be started now; they wait for actors that are not ready yet."""
        return self._count - len(self._queue) - sum(actor.task is not None for actor in self._actors)

    def start(self, label: str, job: Any) -> None:
        """Run a job on an actor that is free, or the first one that will be."""
        self._queue.append(_Task(label, pickle.dumps((self._work, job))))
        self._assign()

    def answer(self, label: str, go_on: bool) -> None:
        """Let the worker of ``label`` train its next epoch, or end the job."""
        actor = next(actor for actor in self._actors if actor.task is not None and actor.task.label == label)
        assert actor.task is not None
        actor.task.answer = go_on
        actor.call = actor.handle.answer.remote(label, go_on)

    def wait(self, timeout: float | None = None) -> list[Event]:
        """Wait for a message of an actor, at most ``timeout`` seconds, and return the events, possibly none.

        Raises:
            HarnessError: a node that joined cannot train for the study, or no actor starts any more.
        """
        by_call = {actor.call: actor for actor in self._actors if actor.call is not None}
        done, _ = ray.wait(list(by_call), timeout=timeout)
        events = [event for call in done if (event := self._receive(by_call[call])) is not None]
        self._assign()
        return events

    def _assign(self) -> None:
        for actor in self._actors:
            if self._queue and actor.node and actor.task is None:
                actor.task = self._queue.popleft()
                actor.call = actor.handle.start.remote(actor.task.label, actor.task.packed)

    def _receive(self, actor: _Actor) -> Event | None:
        """Take what an actor returned; return the event that it is for the search, if it is one."""
        call, actor.call = actor.call, None
        try:
            said = ray.get(call)
        except RayTaskError:
            raise  # An error of this code.
        except RayError as error:
            return self._replace(actor, " ".join(str(error).split()))
        if actor.task is not None:
            return self._report(actor, actor.task, said)
        actor.node, refusal = said
        if refusal:
            raise HarnessError(f"node {actor.node} {refusal}")
        self._failed_starts = 0
        return None

    def _report(self, actor: _Actor, task: _Task, event: Event) -> Event | None:
        if event.kind == "epoch":
            epoch = event.content["epoch"]
            if epoch <= task.epoch:  # It was reported, and answered, before its actor was lost.
                actor.call = actor.handle.answer.remote(task.label, epoch < task.epoch or task.answer)
                return None
            task.epoch, task.answer, task.losses = epoch, True, 0
            return event
        actor.task = None
        return replace(event, content=pickle.loads(event.content)) if event.kind == "result" else event

    def _replace(self, actor: _Actor, cause: str) -> Event | None:
        """Put a new actor in the place of one that ended, and let its job wait for an actor again."""
        ray.kill(actor.handle)  # It may be cut off only, and go on.
        self._actors[self._actors.index(actor)] = self._new()
        if not actor.node:
            self._failed_starts += 1
            if self._failed_starts == _MOST_FAILED_STARTS:
                raise HarnessError(f"no actor starts on the cluster: {cause}")
        task = actor.task
        if task is None:
            return None
        task.losses += 1
        if task.losses == MOST_LOSSES:
            told = f"its actor ended {MOST_LOSSES} times in one epoch ({cause}); the same command resumes"
            return Event("fatal", task.label, HarnessError(f"{task.label}: {told}"))
        self._say(f"{task.label}: lost with its actor on node {actor.node}; it continues from its last checkpoint")
        self._queue.append(task)
        return None

    def close(self) -> None:
        """End all actors without waiting for their jobs."""
        for actor in self._actors:
            ray.kill(actor.handle)
        self._actors = []
        (self._site.folder / MARK).unlink(missing_ok=True)


class Host:
    """What runs in an actor: it passes jobs to a worker process on its node, and events back.

    The worker process is the one that loads PyTorch, with the threads that it is given. It ends with the actor.
    """

    def prepare(self, site: Site, threads: int) -> tuple[str, str]:
        """Start the worker process; return the node's address, and why it cannot train (empty if it can)."""
        node: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        refusal = site.refusal()
        if not refusal:
            try:
                self._pool = Processes(_unpacked, 1, threads)
                self._pool.ready()
            except HarnessError as error:
                refusal = f"cannot train: {error}"
        return node, refusal

    def start(self, label: str, packed: bytes) -> Event:
        """Run a job up to its first event."""
        self._pool.start(label, packed)
        return self._next()

    def answer(self, label: str, go_on: bool) -> Event:
        """Run a job up to its next event."""
        self._pool.answer(label, go_on)
        return self._next()

    def _next(self) -> Event:
        while not (events := self._pool.wait()):
            pass
        return events[0]


def _unpacked(packed: bytes, on_epoch: Callable[[dict[str, Any]], bool]) -> bytes:
    """Run a packed job in the worker process: only there are the classes of jobs and results loaded."""
    work, job = pickle.loads(packed)
    return pickle.dumps(work(job, on_epoch))
