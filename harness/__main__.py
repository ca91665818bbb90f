"""``featherface-harness COMMAND …``, or ``python -m harness COMMAND …``: runs ``python -m harness.COMMAND …``."""

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

from harness import cli
from harness.errors import unknown_name

COMMANDS = {
    "study": "search, train, compare, report",
    "report": "rewrite a study's report",
    "compare": "compare studies",
    "ablate": "which change from V1 to V2 pays",
    "diagnose": "gradients by loss term, and the teacher's errors",
    "teacher": "train V1 once and plot its learning curve",
    "evaluate": "AP of a network, or of any detector's prediction files",
    "export": "write a network as ONNX or in PyTorch's format, compared with it",
    "detect": "find faces in pictures, folders and videos",
    "simulate": "replay searches without training, on a table of trained networks",
    "budget": "parameters and MACs of a space or a network",
    "audit": "compare every documented number with a counted one",
    "data": "download WIDER FACE, check a copy, or write generated scenes as pictures",
    "ui": "serve MLflow's pages on loopback",
}
"""Command → what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names, with all others.

    Raises:
        InputError: there is no such command.
    """
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name.startswith("-"):
        _parser().parse_args([name])
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    module = importlib.import_module("harness.data.__main__" if name == "data" else f"harness.{name}")
    code: int = module.main(rest)
    return code


def _parser() -> cli.Parser:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    parser = cli.Parser(
        "harness",
        "Parameter-budget architecture search and ablation harness for light face detectors.",
        f"commands (COMMAND --help says more):\n{listed}\n\nexamples:\n  python -m harness study --study quick\n"
        "  python -m harness detect photo.jpg --out found\n\nFiles are written below runs/ in the current folder.",
    )
    parser.usage = f"{parser.prog} COMMAND …"
    return parser


def start() -> NoReturn:
    """Run ``main`` as a process: the installed command begins here."""
    cli.run(main)


if __name__ == "__main__":
    start()
