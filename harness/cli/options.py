"""Options that several entry points share, and the parser of their command lines."""

import argparse
import difflib
import math
import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from harness import __version__
from harness.cli.files import PICTURES
from harness.core.budget import Budget
from harness.core.files import RUNS
from harness.core.names import read_space, read_study
from harness.core.numbers import integer, number
from harness.core.secrets import mask_text
from harness.errors import InputError, printable

SCRIPT = "featherface-harness"
"""The installed command: its first argument is the name that ``python -m harness.NAME`` has."""

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
