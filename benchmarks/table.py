"""Results as JSON in ``benchmarks/results``, and the one table that is made of them."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.registry import BENCHMARKS, VALIDATIONS
from harness.core.record import write_json

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE / "README.md"

HEAD = """# Benchmarks

`make bench` measures all of them, writes `results/NAME.json` and makes this file anew: do not edit it.
`make bench ARGS="NAME --quick"` shows in seconds that one still runs, and writes nothing. `make bench ARGS=--list` says
what each measures.

A benchmark compares two things that are timed in turns in one process, because a busy machine slows both alike. A ratio
is the time of the first over the time of the second. The table shows its median over the rounds and its middle half
(first to third quartile); each JSON file has the times too. *Training, 3 × 1,000 scenes* is V2's, at 128 pixels in
batches of 8 without a teacher; a few of its steps are run, and the rest is extrapolated.

"""

VALIDATED = """
## Validations

These show that a result is right, not how long it takes.

"""


def load() -> dict[str, dict[str, Any]]:
    """Return the results that are there, by name, in the order of the registry."""
    paths = {name: RESULTS / f"{name}.json" for name in BENCHMARKS}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def write(result: Mapping[str, Any]) -> None:
    """Write one result, and the table of all."""
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / f"{result['name']}.json", dict(result))
    README.write_text(render(load()), encoding="utf-8")


def render(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of ``benchmarks/README.md``."""
    lines = [
        "| benchmark | case | threads | ratio | median | middle half |",
        "| :--- | :--- | ---: | :--- | ---: | ---: |",
    ]
    for name, result in results.items():
        for case in result["cases"]:
            low, high = map(number, case["quartiles"])
            cells = [f"[{name}](results/{name}.json)", case["case"], str(case["threads"]), case["ratio"]]
            lines.append(f"| {' | '.join([*cells, number(case['median']), f'{low} – {high}'])} |")
    validations = [
        f"- [{name}](results/{name}.json): {validation.shows}. `python benchmarks/{name}.py {validation.arguments}`"
        for name, validation in VALIDATIONS.items()
    ]
    return HEAD + "\n".join([*lines, "", *_measured(results)]) + "\n" + VALIDATED + "\n".join(validations) + "\n"


def number(value: float) -> str:
    """Return a ratio with three significant digits, and whole from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def _measured(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return one line for each set of versions on each processor."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, result in results.items():
        versions = ", ".join(f"{library} {version}" for library, version in result["versions"].items())
        groups[f"{result['processor']}, {result['cores']} cores; {versions}"].append(name)
    if len(groups) == 1:
        return [f"Measured on {where}." for where in groups]
    return [f"- {', '.join(names)}: measured on {where}." for where, names in groups.items()]
