"""``Lease``: only one process at a time writes a study of a database, wherever the processes run.

The lock of a study's folder does not keep out a process with another ``--runs`` and the same ``--storage``. So the
owner of a study is a user attribute of it, which is replaced only where it still has the value that was read: of two
processes, one succeeds. The owner changes a counter in it every few seconds. An owner whose counter stands still is
dead, and so is one of this machine whose process has ended; its study can be taken over.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine, Insert, Update, column, insert, select, table, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from harness.errors import HarnessError, InputError

KEY = "owner"
"""User attribute of the study."""

BEAT = 10.0
"""Seconds between two changes of the counter."""

PATIENCE = 60.0
"""Seconds after which a counter that stands still means that its owner is dead."""

_FREE = "null"
_SAME = 2.0
"""Seconds by which two readings of a process's start may differ."""

_here: set[str] = set()
"""Owners that are leases of this process."""

_ATTRIBUTES = table("study_user_attributes", column("study_id"), column("key"), column("value_json"))
"""Optuna's table of user attributes; ``study_id`` and ``key`` are unique together."""


class Lease:
    """The right to write one study, held until ``release``.

    Args:
        engine: of the database.
        study_id: of the study in it.
        name: the study's name, for messages.
    """

    def __init__(self, engine: Engine, study_id: int, name: str) -> None:
        self._engine, self._study, self._name = engine, study_id, name
        self._row = (_ATTRIBUTES.c.study_id == study_id, _ATTRIBUTES.c.key == KEY)
        process = psutil.Process()
        self._owner: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "machine": _machine(),
            "host": socket.gethostname(),
            "process": process.pid,
            "began": _began(process),
        }
        self._beat = 0
        self._held = ""
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def acquire(self, say: Callable[[str], None]) -> None:
        """Become the owner; wait for the counter of one on another machine, which may be dead.

        Args:
            say: called with one line before waiting.

        Raises:
            InputError: another process runs the study.
        """
        _here.add(self._owner["id"])
        watched, since = "", 0.0
        while True:
            found = self._read()
            owner = _parsed(found)
            stands_still = found == watched and time.monotonic() - since > PATIENCE
            if found is None or found == _FREE or _is_over(owner) or stands_still:
                if self._swap(found, self._next()):
                    break
                continue  # Another process was faster.
            if (watched and found != watched) or owner.get("machine") == _machine():
                raise InputError(
                    f"study '{self._name}' of this storage is in use by process {owner.get('process')} on "
                    f"{owner.get('host')}: wait for it, or choose another --name or --storage"
                )
            if not watched:
                watched, since = str(found), time.monotonic()
                say(
                    f"waiting {PATIENCE:.0f} s to see whether process {owner.get('process')} on {owner.get('host')}, "
                    "which has used this study last, still runs"
                )
            time.sleep(min(1.0, PATIENCE / 10))
        self._thread.start()

    def hold(self) -> None:
        """Make sure that this process is still the owner; called before every write.

        Raises:
            HarnessError: another process has taken the study over, because this one stood still.
        """
        with self._guard:
            if not self._swap(self._held, self._next()) and not self._is_mine():
                self._ended.set()
                raise HarnessError(
                    f"study '{self._name}' was taken over by another process while this one stood still: "
                    "let that one run, or end it and run the same command again"
                )

    def release(self) -> None:
        """Let another process become the owner at once."""
        self._ended.set()
        _here.discard(self._owner["id"])
        if self._thread.is_alive():
            self._thread.join()
        if self._held:
            with suppress(SQLAlchemyError):  # The next owner waits for the counter.
                self._swap(self._held, _FREE)

    def _keep(self) -> None:
        while not self._ended.wait(BEAT):
            with suppress(SQLAlchemyError, HarnessError):  # The next write meets the same error, and reports it.
                self.hold()

    def _next(self) -> str:
        self._beat += 1
        return json.dumps(self._owner | {"beat": self._beat})

    def _is_mine(self) -> bool:
        """Say whether the owner is this process: an answer may have been lost after a change."""
        found = self._read()
        if _parsed(found).get("id") != self._owner["id"]:
            return False
        self._held = str(found)
        return True

    def _read(self) -> str | None:
        wanted = select(_ATTRIBUTES.c.value_json).where(*self._row)
        with self._engine.connect() as connection:
            found: str | None = connection.execute(wanted).scalar_one_or_none()
        return found

    def _swap(self, old: str | None, new: str) -> bool:
        """Replace the attribute if its value is still ``old``, in one statement, and return whether it was."""
        change: Insert | Update
        if old is None:
            change = insert(_ATTRIBUTES).values(study_id=self._study, key=KEY, value_json=new)
        else:
            change = update(_ATTRIBUTES).where(*self._row, _ATTRIBUTES.c.value_json == old).values(value_json=new)
        try:
            with self._engine.begin() as connection:
                done = connection.execute(change).rowcount == 1 or old is None  # Not every driver counts insertions.
        except IntegrityError:  # Another process has inserted it.
            return False
        self._held = new if done else self._held
        return done


def owner_of(engine: Engine, study_id: int) -> dict[str, Any] | None:
    """Return ``process`` and ``host`` of the process that runs a study; None if it has ended.

    A process of another machine counts as running until another one takes the study over.
    """
    row = (_ATTRIBUTES.c.study_id == study_id, _ATTRIBUTES.c.key == KEY)
    with engine.connect() as connection:
        owner = _parsed(connection.execute(select(_ATTRIBUTES.c.value_json).where(*row)).scalar_one_or_none())
    return None if not owner or _is_over(owner) else {"process": owner["process"], "host": owner["host"]}


def _parsed(found: str | None) -> dict[str, Any]:
    """Return an owner; empty if there is none, or if something else wrote the attribute."""
    try:
        owner = json.loads(found or "")
        return {**owner, "process": int(owner["process"]), "began": float(owner["began"])}
    except (ValueError, TypeError, KeyError):
        return {}


def _is_over(owner: dict[str, Any]) -> bool:
    """Say whether an owner was a process of this machine that has ended."""
    if owner.get("machine") != _machine():
        return False
    if owner["process"] == os.getpid():
        return owner.get("id") not in _here
    try:
        process = psutil.Process(owner["process"])
        return process.status() == psutil.STATUS_ZOMBIE or abs(_began(process) - owner["began"]) > _SAME
    except psutil.NoSuchProcess:
        return True


def _began(process: psutil.Process) -> float:
    """Return the seconds from the machine's start to the process's; the time of day could be set meanwhile."""
    return process.create_time() - psutil.boot_time()


def _machine() -> str:
    """Return what tells this machine since its start, and the processes that are seen here, from all others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"
