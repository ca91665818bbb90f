"""What every entry point shares: an argument parser that refuses in one line, and errors that become exit codes."""

import argparse
import errno
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from harness.core.secrets import mask_text
from harness.errors import HarnessError, InputError

RUNS = Path("runs")
"""Where studies, teachers and caches go unless ``--runs`` says otherwise."""


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` whose refusal is one line on stderr, with exit code 2."""

    def __init__(self, prog: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"python -m {prog}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        print(f"{self.prog}: {mask_text(message)} (see --help)", file=sys.stderr)
        raise SystemExit(2)


def add_bounds(group: Any) -> None:
    """Add what a budget may bound besides parameters to a parser, or to a group of its arguments."""
    group.add_argument("--max-macs", type=int, metavar="N", help="multiply-adds allowed (default: any number)")
    group.add_argument(
        "--max-megabytes",
        type=float,
        metavar="X",
        help="10^6 bytes allowed for all tensors of the weights file (default: any number)",
    )


def megabytes(given: float | None) -> int | None:
    """Return whole bytes of ``--max-megabytes``.

    Raises:
        InputError: it is no finite number.
    """
    if given is None:
        return None
    if not math.isfinite(given):
        raise InputError(f"--max-megabytes must be a number of 10^6 bytes, got {given}")
    return round(given * 1e6)


def emit(data: Any) -> None:
    """Print one JSON object on stdout."""
    json.dump(data, sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


@contextmanager
def progress(*, in_bytes: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Show one bar on stderr; yields what to call with (what, done, in all), counts or bytes."""
    # Only where something takes long: help and refused input answer at once.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    console = Console(stderr=True)
    # Where nobody watches, a bar leaves an empty line beside a refusal.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", visible=False)
        current = ""

        def report(what: str, done: int, total: int) -> None:
            nonlocal current
            if what != current:
                current = what  # The time that is left is that of one thing.
                bar.reset(task, total=total, completed=done, description=what, visible=True)
            bar.update(task, completed=done)

        yield report


_ENVIRONMENT = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
    errno.EROFS: "the file system is read-only; choose a writable folder with --runs",
    errno.EACCES: "permission denied; choose a writable folder with --runs",
}


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> NoReturn:
    """Run an entry point and turn its errors into one line and an exit code.

    2: the user's input is wrong. 1: the environment failed on the way (disk full, interrupted). Anything else is a
    defect of the harness and keeps its traceback.
    """
    try:
        code = main(argv)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        if error.errno not in _ENVIRONMENT:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{_ENVIRONMENT[error.errno]}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted; the same command resumes", file=sys.stderr)
        code = 1
    raise SystemExit(code)
