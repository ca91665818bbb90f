"""``python -m benchmarks.scale``: runs searches with simulated trainings, and prints what the harness costs."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness import cli
from harness.core.provenance import provenance

EXAMPLES = """Trainings are simulated: the clock jumps over them. Proposals, database, records, MLflow and reports are
real, so that what is measured is the harness's own work. Uses PostgreSQL where initdb and postgres are in PATH. Writes
benchmarks/results/scale.json and scale.png, and the table in benchmarks/README.md. Takes hours; let nothing else run.

examples:
  python -m benchmarks.scale
  python -m benchmarks.scale --quick --json"""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the section of the table, or one JSON object with ``--json``."""
    parser = cli.Parser("benchmarks.scale", "Measure the harness with many trials and many workers.", EXAMPLES)
    parser.add_argument("--quick", action="store_true", help="toy sizes, which show that it runs; writes nothing")
    cli.add(parser, "--json")
    given = parser.parse_args(argv)

    # Imported after the cheap checks: PyTorch takes seconds to load.
    from benchmarks import table
    from benchmarks.scale.page import picture, section
    from benchmarks.scale.summary import summary
    from benchmarks.scale.sweep import sweep
    from harness.reporting import style

    origin, load, begun = provenance(), os.getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory() as folder, cli.Progress() as progress:
        found = sweep(Path(folder), quick=given.quick, say=progress.line)
    result = {
        "name": "scale",
        **found,
        "summary": summary(found["sizes"], found["workers"]),
        "took": round(time.monotonic() - begun),
        "versions": origin.versions,
        "processor": origin.machine["cpu"],
        "cores": int(origin.machine["cores"]),
        "load": round(load, 2),
        "commit": origin.commit,
        "command": "python -m benchmarks.scale",
    }
    if not given.quick:
        style.save(picture(result), table.RESULTS / "scale.png")
        table.write(result)
    if given.json:
        cli.emit(result)
    else:
        cli.show(*section(result))
    return 0


if __name__ == "__main__":
    cli.run(main)
