"""The errors of the harness, each with its exit code."""

import difflib
from collections.abc import Iterable


def printable(text: str) -> str:
    """Return a text as one line that changes nothing on a terminal: control characters of file names are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; the name of its class if the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class HarnessError(Exception):
    """The command cannot continue; the message is one line that a user can act on."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(HarnessError):
    """The user's input is wrong; nothing was started (exit code 2)."""

    exit_code = 2


class BudgetError(InputError):
    """A candidate, or a whole space, does not fit its parameter budget."""


class DataError(InputError):
    """Images, annotations or predictions on disk are missing or broken."""


class NonFiniteLossError(HarnessError):
    """Training diverged; the message holds every loss term."""


class Preempted(KeyboardInterrupt):
    """SIGTERM: the machine is taken away within seconds. What is written is on disk, and the same command resumes."""


def unknown_name(kind: str, given: str, known: Iterable[str]) -> InputError:
    """Return the error for an unknown name. It lists the known names and suggests the closest one, or a path's stem."""
    names = sorted(known)
    listed = ", ".join(names)
    if "/" in given or "\\" in given or given.endswith(".py"):
        stem = given.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1].removesuffix(".py")
        hint = f"; did you mean '{stem}'?" if stem in names else ""
        return InputError(f"{kind} '{given}' is a path: give a name{hint} (known: {listed})")
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return InputError(f"unknown {kind} '{given}'{hint} (known: {listed})")
