"""``python -m benchmarks.faults``: disturbs studies, and prints what became of their trials."""

import json
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.faults.registry import FAULTS
from harness import cli
from harness.core.machine import available_cores
from harness.core.numbers import integer
from harness.core.provenance import provenance
from harness.errors import unknown_name

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.faults.bench import Row

RESULT = Path(__file__).parents[1] / "results" / "faults.json"

EXAMPLES = """A tiny study is run once undisturbed, and then again and again while faults happen to it at random
moments. It must end with the same trials, losses and APs, bit for bit; exit code 1: it did not. With all faults as
often as by default, the table is written to benchmarks/results/faults.json.

examples:
  python -m benchmarks.faults
  python -m benchmarks.faults worker_killed preempted --repetitions 3"""


def main(argv: Sequence[str] | None = None) -> int:
    """Disturb studies, and print a row for every fault, or one JSON object with ``--json``.

    Raises:
        InputError: a name is unknown.
    """
    parser = cli.Parser("benchmarks.faults", "Let faults happen to studies, and count what is lost.", EXAMPLES)
    parser.add_argument("names", nargs="*", metavar="FAULT", help=f"which faults (default: all): {', '.join(FAULTS)}")
    parser.add_argument(
        "--repetitions", type=integer, metavar="N", help="how often each happens (default: its own number)"
    )
    parser.add_argument(
        "--jobs", type=integer, default=available_cores(), metavar="N", help="studies at once (%(default)s)"
    )
    cli.add(parser, "--seed", default=0)
    cli.add(parser, "--json")
    given = parser.parse_args(argv)
    for name in given.names:
        if name not in FAULTS:
            raise unknown_name("fault", name, FAULTS)
    for option in ("repetitions", "jobs"):
        if getattr(given, option) is not None and getattr(given, option) < 1:
            parser.error(f"--{option} must be at least 1, got {getattr(given, option)}")

    # Imported after the cheap checks: PyTorch takes seconds to load.
    from benchmarks.faults.bench import Bench

    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, cli.Progress() as progress:
        bench = Bench(Path(folder), given.seed)

        def measure(name: str) -> "Row":
            wanted = given.repetitions or FAULTS[name].repetitions
            return bench.measure(name, wanted, progress.line)

        with ThreadPoolExecutor(given.jobs) as pool:
            rows = list(pool.map(measure, given.names or FAULTS))
    found = {
        "rows": [row.to_dict() for row in rows],
        "clean": all(row.clean for row in rows),
        "seconds": round(time.monotonic() - begun),
        "seed": given.seed,
        "commit": provenance().commit,
        "command": "python -m benchmarks.faults",
    }
    if not (given.names or given.repetitions):
        RESULT.write_text(f"{json.dumps(found, indent=1)}\n", encoding="utf-8")
    if given.json:
        cli.emit(found)
    else:
        cli.show(table(rows))
    return 0 if found["clean"] else 1


def table(rows: "Sequence[Row]") -> "Table":
    """Return the table: for every fault, how often it happened and what became of the trials."""
    from rich.table import Table

    shown = Table("fault", box=None)
    for column in ("repetitions", "starts", "trials", "finished", "lost", "twice", "changed", "other best", ""):
        shown.add_column(column, justify="right")
    for row in rows:
        of = row.outcome
        numbers: list[Any] = [row.repetitions, row.runs, of.started, of.finished, of.lost, of.twice, of.changed]
        verdict = "skipped" if row.skipped else "clean" if row.clean else "not clean"
        shown.add_row(FAULTS[row.fault].what, *(f"{n:,}" for n in (*numbers, of.other_best)), verdict)
    return shown


if __name__ == "__main__":
    cli.run(main)
