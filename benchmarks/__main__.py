"""``python -m benchmarks``: measures ratios of run times."""

import importlib
import os
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.registry import BENCHMARKS
from harness import cli
from harness.core.provenance import provenance
from harness.errors import unknown_name

if TYPE_CHECKING:
    from benchmarks.timing import Given

EXAMPLES = """Writes benchmarks/results/NAME.json and the table in benchmarks/README.md, and prints the table's rows.

examples:
  python -m benchmarks
  python -m benchmarks losses inference
  python -m benchmarks evaluator_widerface --data PATH/TO/WIDERFACE
  python -m benchmarks --quick"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run benchmarks one after the other, and print a row for each finding, or one JSON object with ``--json``.

    Raises:
        InputError: a name is unknown.
    """
    parser = cli.Parser("benchmarks", "Measure ratios of times, each in one interleaved run.", EXAMPLES)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks (default: all)")
    parser.add_argument("--quick", action="store_true", help="toy sizes, which show that each runs; writes nothing")
    parser.add_argument("--list", action="store_true", help="print the names, and what each measures")
    cli.add(parser, "--data", type=Path, help="the folder of a WIDER FACE copy")
    cli.add(parser, "--json")
    given = parser.parse_args(argv)
    for name in given.names:
        if name not in BENCHMARKS:
            raise unknown_name("benchmark", name, BENCHMARKS)
    if given.list:
        cli.emit(BENCHMARKS) if given.json else cli.show(*(f"{name}: {what}" for name, what in BENCHMARKS.items()))
        return 0

    # Imported after the cheap checks: PyTorch takes seconds to load.
    from benchmarks.table import write
    from benchmarks.timing import Given, SkippedError

    results: dict[str, Any] = {}
    with cli.Progress() as progress:
        for name in given.names or BENCHMARKS:
            try:
                with tempfile.TemporaryDirectory() as folder:
                    result = run(name, Given(Path(folder), given.quick, given.data), progress.stage)
            except SkippedError as reason:
                results[name] = {"name": name, "skipped": str(reason)}
                progress.line(f"{name}: skipped: {reason}")
                continue
            results[name] = result
            if not given.quick:
                write(result)
    if given.json:
        cli.emit(results)
    else:
        cli.show(*(row for result in results.values() for row in rows(result)))
    return 0


def rows(result: dict[str, Any]) -> list[str]:
    """Return a line for each finding of a result; none where the benchmark was skipped."""
    from benchmarks.table import number

    return [
        f"{result['name']}, {case['case']}, threads {case['threads']}: {case['ratio']} = {number(case['median'])} "
        f"({' – '.join(map(number, case['quartiles']))})"
        for case in result.get("cases", ())
    ]


def run(name: str, given: "Given", on_stage: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Return one benchmark's result as plain data.

    Args:
        name: a module of ``benchmarks`` with ``cases``.
        given: its inputs.
        on_stage: called with the case, the number of rounds done and the total.

    Returns:
        ``name``, ``measures``, ``cases`` (as ``timing.measure`` returns them), ``versions``, ``processor``, ``cores``,
        ``load`` (the load average at the start), ``commit`` and ``command``.

    Raises:
        SkippedError: the benchmark lacks what it needs.
    """
    from benchmarks.timing import measure

    origin, load = provenance(), os.getloadavg()[0]
    found = []
    for case in importlib.import_module(f"benchmarks.{name}").cases(given):
        found.append(measure(case, given.quick, partial(on_stage, f"{name}: {case.name}")))
    return {
        "name": name,
        "measures": BENCHMARKS[name],
        "cases": found,
        "versions": origin.versions,
        "processor": origin.machine["cpu"],
        "cores": int(origin.machine["cores"]),
        "load": round(load, 2),
        "commit": origin.commit,
        "command": f"python -m benchmarks {name}" + (" --data PATH/TO/WIDERFACE" if given.data else ""),
    }


if __name__ == "__main__":
    cli.run(main)
