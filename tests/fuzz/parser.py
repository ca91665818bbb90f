"""``Parser``: how a parser is fuzzed, and ``fuzz``, which does it."""

import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.strategies import SearchStrategy

from harness.errors import HarnessError
from tests.fuzz.guard import guarded

DATABASE = Path(".hypothesis") / "fuzz"
"""Failing inputs, which are tried first the next time."""

LONGEST_REASON = 4_000
"""Characters of a refusal; the tokens have up to 400."""


@dataclass(frozen=True)
class Parser:
    """A parser of something from outside.

    Attributes:
        name: what it reads.
        inputs: returns the strategy of its inputs; called once.
        read: reads one input, in an empty folder; asserts whatever is true of every answer.
        refusals: the errors that refuse an input.
        count: number of inputs of ``make fuzz``; chosen by their cost.
        few: number of inputs of ``make test``.
        examples: inputs that once failed.
    """

    name: str
    inputs: Callable[[], SearchStrategy[Any]]
    read: Callable[[Any, Path], object]
    count: int
    few: int = 40
    refusals: tuple[type[Exception], ...] = (HarnessError,)
    examples: tuple[Any, ...] = ()


@dataclass
class Tally:
    """What became of the inputs.

    Attributes:
        accepted, refused: number of inputs.
        slowest: largest CPU time of one input, seconds.
        failure: the smallest input that failed, with its error.
    """

    accepted: int = 0
    refused: int = 0
    slowest: float = 0.0
    failure: str = ""

    @property
    def inputs(self) -> int:
        """Number of inputs, those included that failed or made a failing one smaller."""
        return self.accepted + self.refused


def fuzz(
    parser: Parser, folder: Path, count: int, tally: Tally, *, repeatable: bool = False, note: Path | None = None
) -> None:
    """Try ``count`` inputs, each in an empty folder below ``folder``.

    Args:
        parser: what is tried.
        folder: a scratch folder.
        count: number of generated inputs; ``parser.examples`` come first.
        tally: counts them.
        repeatable: try the same inputs each time, and keep none that fails.
        note: a file that holds the input that is tried, in case that it ends this process.
    """

    def attempt(value: Any) -> None:
        if note is not None:
            note.write_text(repr(value), encoding="utf-8", errors="backslashreplace")
        place = folder / "input"
        place.mkdir()
        begun = _cpu_seconds()
        try:
            with guarded(place):
                parser.read(value, place)
            tally.accepted += 1
        except parser.refusals as error:
            tally.refused += 1
            reason = str(error)
            assert reason
            assert reason.isprintable(), f"the refusal is not one line: {reason!r}"
            assert len(reason) <= LONGEST_REASON, f"the refusal has {len(reason):,} characters: {reason!r}"
        finally:
            tally.slowest = max(tally.slowest, _cpu_seconds() - begun)
            shutil.rmtree(place)

    test = given(parser.inputs())(attempt)
    for value in parser.examples:
        test = example(value)(test)
    phases = (Phase.explicit, Phase.generate) if repeatable else (*Phase,)
    chosen = settings(
        max_examples=count,
        deadline=None,
        derandomize=repeatable,
        database=None if repeatable else DirectoryBasedExampleDatabase(DATABASE),
        phases=[phase for phase in phases if phase is not Phase.explain],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    chosen(test)()


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
