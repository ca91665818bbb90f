"""Writes the results as JSON to ``benchmarks/results``, and the table in ``benchmarks/README.md``.

After a validation has run for the first time, ``python -m benchmarks.table`` regenerates the table.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.registry import BENCHMARKS, PACKAGES, VALIDATIONS
from harness.core.record import write_json

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE / "README.md"

HEAD = """# Benchmarks

`make bench` runs all benchmarks, writes `results/NAME.json` and regenerates this file: do not edit it.
`make bench ARGS="NAME --quick"` checks in seconds that a benchmark runs, and writes nothing. `make bench ARGS=--list`
prints what each measures.

A benchmark times two variants alternately in one process, so that other load on the machine affects both. A ratio is
the time of the first variant divided by the time of the second. The table has its median over the rounds and its middle
half (first to third quartile); the JSON files also have the times. *Training, 3 × 1,000 scenes* is V2's training at 128
pixels in batches of 8 without a teacher, extrapolated from a few steps.

"""

VALIDATED = """
## Validations

These check that a result is correct.

"""


SCALE = """
## Scale

The trainings of these searches are simulated, and all else is real: `python -m benchmarks.scale`
([figures](results/scale.json)). A trial has 4 epochs. MLflow is in a SQLite file. *Workers wait* is the share of their
time in which they have no answer, or no training, because the harness is busy.

"""

SCALE_TODO = """
## Scale

`python -m benchmarks.scale` measures searches of up to 10,000 trials and 1,000 workers whose trainings are simulated
(not run yet).
"""

TRAINED = """
## Tables of trainings

These train many networks, for hours.

"""


def load() -> dict[str, dict[str, Any]]:
    """Return name → result for all existing results, in the order of the registry."""
    paths = {name: RESULTS / f"{name}.json" for name in BENCHMARKS}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def write(result: Mapping[str, Any]) -> None:
    """Write one result, and regenerate the table of all."""
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
    validations = []
    for name, validation in VALIDATIONS.items():
        command = f"python benchmarks/{name}.py {validation.arguments}".strip()
        where = f"[{name}](results/{name}.json)" if (RESULTS / f"{name}.json").exists() else f"{name} (not run yet)"
        validations.append(f"- {where}: {validation.shows}. `{command}`")
    packages = [f"- `python -m benchmarks.{name}` {what}." for name, what in PACKAGES.items()]
    parts = (HEAD, [*lines, "", *_measured(results)], VALIDATED, validations, *_scale(), TRAINED, packages)
    return "".join(part if isinstance(part, str) else "\n".join(part) + "\n" for part in parts)


def number(value: float) -> str:
    """Return a ratio with three significant digits, and whole from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def _scale() -> tuple[str | list[str], ...]:
    path = RESULTS / "scale.json"
    if not path.exists():
        return (SCALE_TODO,)
    from benchmarks.scale.page import section

    result = json.loads(path.read_text(encoding="utf-8"))
    shown = "![cost of a trial, and workers that wait](results/scale.png)"
    return SCALE, [*section(result), shown, "", *_measured({"": result})]


def _measured(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return one line for each set of versions on each processor."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, result in results.items():
        versions = ", ".join(f"{library} {version}" for library, version in result["versions"].items())
        groups[f"{result['processor']}, {result['cores']} cores; {versions}"].append(name)
    if len(groups) == 1:
        return [f"Measured on {where}." for where in groups]
    return [f"- {', '.join(names)}: measured on {where}." for where, names in groups.items()]


if __name__ == "__main__":
    README.write_text(render(load()), encoding="utf-8")
