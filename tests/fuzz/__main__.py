"""``make fuzz``: tries 100,000 damaged inputs and more, and prints what became of them for each parser.

Exit code 1 if a parser gave anything but an answer or a refusal of one line; the smallest such input is printed, kept
in ``.hypothesis/fuzz`` and tried first the next time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.core.machine import available_cores
from tests.fuzz.all import PARSERS
from tests.fuzz.guard import limit_memory
from tests.fuzz.parser import Parser, Tally, fuzz

LEAST = 100_000
"""Inputs of all parsers together."""


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz all parsers, as many at once as there are cores, or those that are named."""
    names = {parser.name: parser for parser in PARSERS}
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*names, []], metavar="PARSER", help=f"one of {', '.join(names)}")
    parser.add_argument("--times", type=float, default=1.0, help="multiply the number of inputs (default: 1)")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    chosen = [names[name] for name in given.names] or list(PARSERS)
    if given.here is not None:
        print(json.dumps(_fuzz_here(chosen[0], given.times, given.here)))
        return 0
    print(f"{'parser':<28}{'inputs':>9}{'accepted':>10}{'refused':>9}{'slowest, ms':>13}{'failures':>10}")
    total, failures = 0, []
    with ThreadPoolExecutor(available_cores()) as pool:
        for one, tally in zip(chosen, pool.map(lambda one: _in_process(one, given.times), chosen), strict=True):
            total += tally.inputs
            print(
                f"{one.name:<28}{tally.inputs:>9,}{tally.accepted:>10,}{tally.refused:>9,}"
                f"{1_000 * tally.slowest:>13,.0f}{int(bool(tally.failure)):>10}",
                flush=True,
            )
            if tally.failure:
                failures.append(f"{one.name}: {tally.failure}")
    print(f"{'all':<28}{total:>9,}{len(failures):>42}")
    for failure in failures:
        print(f"\n{failure}")
    return int(bool(failures))


def _in_process(parser: Parser, times: float) -> Tally:
    """Fuzz a parser in a process of its own, which native code may crash."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "tests.fuzz", parser.name, "--times", str(times), "--here", scratch]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return Tally(**json.loads(done.stdout.splitlines()[-1]))
        note = Path(scratch) / "note"
        tried = note.read_text(encoding="utf-8") if note.exists() else "nothing yet"
        said = "\n".join(done.stderr.strip().splitlines()[-30:])
        return Tally(failure=f"the process ended with {done.returncode} at the input {tried}\n{said}")


def _fuzz_here(parser: Parser, times: float, scratch: Path) -> dict[str, Any]:
    tally = Tally()
    limit_memory()
    try:
        fuzz(parser, scratch, round(times * parser.count), tally, note=scratch / "note")
    except Exception as error:
        notes = "\n".join(getattr(error, "__notes__", ()))
        tally.failure = f"{type(error).__name__}: {error}\n{notes}"
    return asdict(tally)


if __name__ == "__main__":
    sys.exit(main())
