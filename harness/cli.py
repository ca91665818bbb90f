"""Options, output, progress and exit codes, shared by all entry points.

Exit codes: 0 done; 2 wrong input, nothing was started; 1 the environment failed during the run (disk full, network
down, interrupted). Every message is one line on stderr.
"""

import argparse
import difflib
import errno
import io
import json
import math
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from harness import __version__
from harness.core.budget import Budget
from harness.core.files import RUNS
from harness.core.names import load_study, own_files, read_space, read_study
from harness.core.numbers import integer, number
from harness.core.protocol import StudyConfig
from harness.core.secrets import mask_command, mask_text
from harness.errors import HarnessError, InputError, Preempted, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, RenderableType

    from harness.search.progress import Board
    from harness.search.resources import Resources

SCRIPT = "featherface-harness"
"""The installed command: its first argument is the name that ``python -m harness.NAME`` has."""

MOST = 8
"""Ended trainings that the table of a running study shows."""

PICTURES = (".png", ".svg", ".pdf")

ADDRESSES = {"--storage": "HARNESS_STORAGE", "--tracking-uri": "HARNESS_TRACKING_URI"}
"""Option → environment variable that gives its default, for addresses with a password: every user of a machine can read
a process's arguments."""

TRACKING = "MLflow (default: SQLite in --runs); 'none': no tracking"

EXIT_CODES = "exit code: 0 done; 2 wrong input, nothing was started; 1 the environment failed (disk, network) or Ctrl-C"


def _bytes(megabytes: str) -> int:
    value = number(megabytes)
    if not math.isfinite(value):
        raise InputError(f"--max-megabytes must be a number of 10^6 bytes, got {megabytes}")
    return round(value * 1e6)


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise argparse.ArgumentTypeError(f"must be one line of text, got {text!r}")
    return text


OPTIONS: dict[str, dict[str, Any]] = {
    "--json": {"action": "store_true", "help": "print one JSON object and nothing else on stdout"},
    "--runs": {
        "type": Path,
        "default": RUNS,
        "metavar": "DIR",
        "help": f"folder of studies, teachers and caches (default: {RUNS})",
    },
    "--device": {"default": "auto", "help": "cpu, cuda or cuda:N (default: auto, which is cuda where there is one)"},
    "--plot": {"type": Path, "metavar": "FILE", "help": f"draw a picture into FILE ({', '.join(PICTURES)})"},
    "--note": {
        "type": _one_line,
        "default": "",
        "metavar": "TEXT",
        "help": "with --publish: a note on the data, shown at the top of the report",
    },
    "--space-file": {
        "dest": "space",
        "type": read_space,
        "metavar": "FILE",
        "help": "a space of yours: a Python file that defines SPACE, as those in search_spaces/",
    },
    "--study-file": {
        "dest": "study",
        "type": read_study,
        "metavar": "FILE",
        "help": "a study of yours: a Python file that defines STUDY, as those in studies/",
    },
    "--data": {"metavar": "PATH", "help": "'synthetic', or the folder of a WIDER FACE copy"},
    "--size": {"type": integer, "metavar": "PIXELS", "help": "side of the square training crop"},
    "--train-images": {
        "type": integer,
        "metavar": "N",
        "help": "number of training images; 0 uses all images of a folder",
    },
    "--search-images": {
        "type": integer,
        "metavar": "N",
        "help": "number of search images, held out of a folder's training images",
    },
    "--val-images": {
        "type": integer,
        "metavar": "N",
        "help": "number of validation images; 0 uses all images of a folder",
    },
    "--seed": {"type": integer, "metavar": "N", "help": "seed of all random numbers"},
    "--epochs": {"type": integer, "metavar": "N", "help": "students' passes over the training images"},
    "--workers": {
        "type": integer,
        "metavar": "N",
        "help": "networks trained at once (default: by cores and free memory; 1 on CUDA)",
    },
    "--threads": {"type": integer, "metavar": "N", "help": "threads per training (default: 1 on a CPU)"},
    "--teacher": {
        "default": "auto",
        "metavar": "[ARCH:]PATH",
        "help": "weights of V1, or of a named arch as featherface:PATH (default: auto, which trains V1 once)",
    },
    "--init-backbone": {
        "type": Path,
        "metavar": "PATH",
        "help": "weights file that V1's backbone starts from, or with --teacher the students'",
    },
    "--budget": {"type": integer, "metavar": "N", "help": f"parameters allowed ({Budget().max_params:,} by default)"},
    "--max-macs": {"type": integer, "metavar": "N", "help": "MACs allowed (default: any number)"},
    "--max-megabytes": {
        "type": _bytes,
        "dest": "max_bytes",
        "metavar": "X",
        "help": "10^6 bytes allowed for all tensors of the weights file (default: any number)",
    },
}
"""Options that several entry points share, each with one help text."""

DATA = ("size", "train_images", "search_images", "val_images")
"""Options that are fields of ``DataConfig``."""


def _spelled(text: str) -> str:
    """Return a text with its commands as the user called this one: by ``SCRIPT``, or by ``python -m``."""
    called = Path(sys.argv[0]).name == SCRIPT
    return re.sub(r"python -m harness\b[. ]?", f"{SCRIPT} ", text).strip() if called else text


class Parser(argparse.ArgumentParser):
    """An ``ArgumentParser`` that reports an error in one line with exit code 2; its help ends with the exit codes.

    Args:
        prog: the module, such as ``harness.study``.
        description: what the command does, and what it writes or prints.
        epilog: examples.
    """

    def __init__(self, prog: str, description: str, epilog: str) -> None:
        super().__init__(
            prog=_spelled(f"python -m {prog}"),
            description=description,
            epilog=f"{_spelled(epilog.strip())}\n\n{EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--version", action="version", version=__version__)

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2. Suggest the closest option for one that is unknown."""
        _, unknown, given = message.partition("unrecognized arguments: ")
        options = [option for action in self._actions for option in action.option_strings]
        close = difflib.get_close_matches(given.split()[0], options, n=1) if unknown else []
        message += f"; did you mean {close[0]}?" if close else ""
        print(f"{self.prog}: {printable(mask_text(message))} (see --help)", file=sys.stderr)
        raise SystemExit(2)


def add(group: Any, *options: str, **changes: Any) -> None:
    """Add some of ``OPTIONS`` to a parser, or to a group of its arguments; ``changes`` replaces their keywords."""
    for option in options:
        group.add_argument(option, **{**OPTIONS[option], **changes})


def add_address(group: Any, option: str, text: str) -> None:
    """Add one of ``ADDRESSES`` to a parser, or to a group of its arguments; ``text`` is its help."""
    variable = ADDRESSES[option]
    text += f"; the environment variable {variable} keeps a password out of the process list"
    group.add_argument(option, metavar="URL", default=os.environ.get(variable) or None, help=text)


def chosen(given: argparse.Namespace, *names: str, **renamed: str) -> dict[str, Any]:
    """Return the options that were given: name → value, and each of ``renamed`` under its key."""
    names_of = {name: name for name in names} | renamed
    values = {key: getattr(given, name) for key, name in names_of.items()}
    return {key: value for key, value in values.items() if value is not None}


def protocol(given: argparse.Namespace, synthetic: str, folder: str) -> tuple[str, StudyConfig, str]:
    """Return the study protocol that the arguments describe: its name, its configuration, and its data in a word.

    Args:
        given: the arguments, with ``study``, ``epochs``, ``data`` and the options of ``DATA``.
        synthetic, folder: names of the studies that are meant without ``--study``, for each kind of ``--data``.

    Raises:
        InputError: the study is unknown, or its data folder is missing.
    """
    path = None if given.data in (None, "synthetic") else Path(given.data)
    if path is not None and not path.is_dir():
        raise InputError(f"--data: there is no folder {path}; give 'synthetic' or the folder of a WIDER FACE copy")
    name = given.study or (synthetic if path is None else folder)
    study = load_study(name)
    if given.data is None and study.data.source != "synthetic":
        raise InputError(f"study '{name}' trains on WIDER FACE images: give the folder of a copy with --data")
    changed = replace(
        study,
        data=replace(study.data, **chosen(given, *DATA, source="data")),
        train=replace(study.train, **chosen(given, "epochs")),
    )
    return name, changed, "synthetic" if path is None else path.resolve().name


def study_name(*words: str) -> str:
    """Return the words joined to a study's name, each once, so that different studies do not share a folder."""
    safe = ("".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in word) for word in words)
    return "-".join(dict.fromkeys(safe))


def device(name: str) -> str:
    """Return the device that ``--device`` names: ``auto`` is ``cuda`` where there is one, else ``cpu``."""
    if name != "auto":
        return name
    from harness.models.device import automatic  # Takes seconds to load, and most refusals come earlier.

    return automatic()


def resources(given: argparse.Namespace, module: str, argv: Sequence[str] | None, space: str) -> "Resources":
    """Return the hardware, files and addresses that the arguments name, and the command that repeats the call.

    Args:
        given: the arguments; those with the name of a field of ``Resources`` give its value.
        module: the entry point, such as ``harness.study``.
        argv: its arguments; None for those of this process.
        space: name of the study's space; files of the user that define it, or the study, go into the study's folder.
    """
    from harness.search.resources import Resources  # Takes seconds to load, and most refusals come earlier.

    named = {field.name for field in fields(Resources)} & vars(given).keys()
    words = ["python", "-m", module, *(sys.argv[1:] if argv is None else argv)]
    files = own_files(space, given.study or "")
    own = {"device": device(given.device), "command": mask_command(words), "files": files}
    return Resources(**{name: getattr(given, name) for name in named} | own)


def require_writable(option: str, folder: Path) -> None:
    """Make the folder that ``option`` names, and refuse one that cannot be written, before any work is done.

    Raises:
        InputError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"{option}: {folder} is not a writable folder ({error.strerror})") from error


def require_picture(path: Path | None) -> None:
    """Refuse a ``--plot`` that cannot be written, before any work is done.

    Raises:
        InputError: the suffix is unknown, the path is a folder, or its folder cannot be written.
    """
    if path is None:
        return
    if path.suffix.lower() not in PICTURES:
        raise InputError(f"--plot must end in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}, got {path}")
    if path.is_dir():
        raise InputError(f"--plot {path} is a folder: name a file")
    require_writable("--plot", path.parent)


def write_picture(figure: "Figure", path: Path) -> None:
    """Write a figure to a path that ``require_picture`` accepted."""
    figure.savefig(path, dpi=150)


def emit(data: Any) -> None:
    """Print one JSON object on stdout."""
    json.dump(data, sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def show(*parts: "RenderableType", least: int = 0) -> None:
    """Print texts and tables on stdout.

    Args:
        parts: strings, which are never wrapped, or other renderables of rich.
        least: least width in columns, also on a narrower terminal.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else 140, highlight=False)  # A file has room for every column.
    console.width = max(console.width, least)
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, str | Text), markup=False)


def board_table(board: "Board", most: int | None = None) -> "RenderableType":
    """Return a study's trainings as a table: the running ones, then those that have ended, best AP first.

    Args:
        board: the study.
        most: the largest number of ended trainings; None shows all.
    """
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, side in (("network", "left"), ("parameters", "right"), ("search AP, %", "right"), ("", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for running in board.running.values():
        made = ProgressBar(total=running.epochs, completed=running.epoch, width=30)
        progress = Table.grid(padding=(0, 1))
        progress.add_row(made, f"epoch {running.epoch} of {running.epochs}")
        table.add_row(running.label, f"{running.params:,}", _percent(running.ap), progress)
    ended = board.ended[:most]
    for one in ended:
        graded = "" if one.ap is None else f", validation AP {100 * one.ap:.1f}"
        table.add_row(one.label, f"{one.params:,}", _percent(one.search_ap), f"{one.state}{graded}")
    if len(ended) < len(board.ended):
        table.add_row("…", "", "", f"{len(board.ended) - len(ended):,} more")
    return table


def _percent(ap: float | None) -> str:
    return "–" if ap is None else f"{100 * ap:.1f}"


class Progress:
    """Shows a command's progress on stderr: a table and bars on a terminal, occasional lines elsewhere.

    Elsewhere, a new stage is printed if no line was printed for ``QUIET`` seconds, so that short stages print nothing.
    A stage or running trainings are printed again after ``REPEAT`` seconds without a line, also while nothing is
    reported, as in an epoch of minutes.

    Args:
        in_bytes: whether ``stage`` counts bytes.
        console: where to print; stderr by default.
        clock: returns the time in seconds; replaced in tests.
    """

    QUIET, REPEAT = 2.0, 30.0

    def __init__(
        self,
        *,
        in_bytes: bool = False,
        console: "Console | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Imported here so that help and refused input answer at once.
        from rich import filesize
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(stderr=True)
        self._amount: Callable[[int], str] = filesize.decimal if in_bytes else "{:,}".format
        self._clock = clock
        self._printed = clock()
        self._said = ("", 0, 0)
        self._stage = ("", 0, 0)
        self._began = (0.0, 0)
        self._board: Board | None = None
        self._made = 0
        self._guard = threading.RLock()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._remind_regularly, name="progress", daemon=True)
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        else:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bars."""
        self._live.stop()
        self._ended.set()
        if self._watch.is_alive():
            self._watch.join()

    def stage(self, what: str, done: int, total: int) -> None:
        """Show how much of a stage is done; the bar disappears when the stage is complete."""
        with self._guard:
            _, before, planned = self._stage
            if total != planned or done < before:
                self._began = (self._clock(), done)
            self._stage = (what, done, total)
            if not self._console.is_terminal:
                said, done_then, of = self._said
                due = self.REPEAT if what == said else self.QUIET
                ends = done == total == of and (what, done) != (said, done_then)  # What was mentioned is seen to end.
                if ends or self._clock() - self._printed >= due:
                    self._say_stage()

    def board(self, board: "Board") -> None:
        """Show the study's trainings and its summary."""
        with self._guard:
            self._stage, self._board = ("", 0, 0), board.copy()  # Other threads show it while the study changes it.
            if not self._console.is_terminal:
                if board.made > self._made:
                    self.line(board.summary())
                self.remind()
            self._made = board.made

    def line(self, text: str) -> None:
        """Print a permanent line above the bars."""
        with self._guard:
            self._console.print(text, soft_wrap=True, markup=False, highlight=False)
            self._printed = self._clock()

    def remind(self) -> None:
        """Print what goes on if no line was printed for ``REPEAT`` seconds."""
        with self._guard:
            _, done, total = self._stage
            if self._clock() - self._printed < self.REPEAT:
                return
            if done < total:
                self._say_stage()
            elif self._board is not None and self._board.running:
                self.line(self._board.under_way())

    def _remind_regularly(self) -> None:
        while not self._ended.wait(1.0):
            self.remind()

    def _say_stage(self) -> None:
        what, done, total = self._said = self._stage
        self.line(f"{what}: {self._amount(done)} of {self._amount(total)}{self._left()}")

    def _render(self) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        what, done, total = self._stage
        shown: list[RenderableType] = []
        if self._board is not None:
            shown += [board_table(self._board, most=MOST), Text(self._board.summary())]
        if done < total:
            stage = Table.grid(padding=(0, 1))
            text = f"{self._amount(done)} of {self._amount(total)}{self._left()}"
            stage.add_row(Text(what), ProgressBar(total=total, completed=done, width=30), Text(text))
            shown.append(stage)
        return Group(*shown)

    def _left(self) -> str:
        """Return the estimated remaining time of a stage as text; empty while its speed is unknown."""
        _, done, total = self._stage
        began, first = self._began
        if done <= first:
            return ""
        return f", about {timedelta(seconds=round((self._clock() - began) * (total - done) / (done - first)))} left"


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
