"""Limits around one call of a parser: its time, its memory, and the places that it writes to."""

import faulthandler
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 10.0
"""CPU time of one input; the slowest valid one takes a hundredth of it."""

PATIENCE = 120.0
"""Time of one input, also of one that waits; a busy machine must not decide."""

MEMORY = 2**31
"""Bytes of address space beyond those that a process has before its first input."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir": 1, "os.rename": 2, "os.symlink": 2, "os.remove": 1, "os.truncate": 1, "shutil.rmtree": 1}
"""Events of ``sys.audit`` that change the file system, and how many of their arguments are paths."""

_watched: list[tuple[Path, list[str]]] = []
_installed: list[bool] = []


def limit_memory() -> None:
    """Refuse this process more memory than it has now and ``MEMORY`` more."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Raise an ``AssertionError`` if the block computes longer than ``SECONDS``, or changes a file outside ``folder``.

    A block that waits or stays in native code ends the process after ``PATIENCE``, with a traceback on stderr.
    """
    if not _installed:
        sys.addaudithook(_hook)  # It cannot be removed again.
        sys.dont_write_bytecode = True  # Modules may be imported inside the block.
        _installed.append(True)
    outside: list[str] = []
    before = signal.signal(signal.SIGPROF, _late)
    _watched.append((folder.resolve(), outside))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        _watched.pop()
        if outside:
            raise AssertionError(f"it wrote outside its folder: {outside[0]}")


def _late(*_: object) -> None:
    raise AssertionError(f"it computes longer than {SECONDS:g} s")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watched:
        return
    if event == "open":
        path, mode, flags = arguments
        writes = (isinstance(flags, int) and flags & _WRITES) or (isinstance(mode, str) and set(mode) & set("wax+"))
        paths = [path] if writes else []
    elif event == "os.remove" and arguments[-1] != -1:
        paths = []  # Relative to a folder that is open: by shutil.rmtree, which has an event of its own.
    else:
        paths = list(arguments[: _CHANGES.get(event, 0)])
    folder, outside = _watched[-1]
    for path in paths:
        if isinstance(path, str | bytes | os.PathLike) and not _inside(os.fsdecode(path), folder):
            outside.append(f"{event} {os.fsdecode(path)!r}")


def _inside(path: str, folder: Path) -> bool:
    if "\0" in path or path == os.devnull:
        return True  # No file can have that name.
    return Path(path).resolve().is_relative_to(folder)
