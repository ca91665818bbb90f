"""How a command ends: streams, signals, and errors as one line and an exit code."""

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from harness.errors import HarnessError, Preempted, printable

_ENVIRONMENT = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose a writable folder with --runs",
    errno.EACCES: "permission denied; choose a writable folder with --runs",
}

_PATHS = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
"""Errors of a path that no file can have, or that leads to something of another kind."""


def _interrupt(*_: object) -> NoReturn:
    raise Preempted


def _open_streams() -> None:
    """Make standard streams usable: a closed one leads nowhere, and one of few letters shows others by their number.

    The next file that is opened would take the number of a closed stream, and receive what is printed.
    """
    for place, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), place)
            setattr(sys, name, os.fdopen(place, mode, encoding="utf-8", closefd=False))
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> NoReturn:
    """Run an entry point and turn its errors into one line and an exit code.

    SIGTERM is handled like Ctrl-C, as ``Preempted``. Any other exception is a defect of the harness and keeps its
    traceback.
    """
    _open_streams()
    os.environ.setdefault("PYTHONUNBUFFERED", "1")  # For processes that are started.
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = main(argv)
        sys.stdout.flush()  # What cannot be printed is an error like any other.
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        where = printable(f"{error.filename}: ") if error.filename else ""
        if error.errno in _PATHS:
            print(f"error: {where}{error.strerror}", file=sys.stderr)
            code = 2
        elif error.errno in _ENVIRONMENT:
            print(f"error: {where}{_ENVIRONMENT[error.errno]}", file=sys.stderr)
            code = 1
        else:
            raise
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        code = 1
    finally:
        signal.signal(signal.SIGTERM, before)
    raise SystemExit(code)
