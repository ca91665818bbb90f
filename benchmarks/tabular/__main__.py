"""``python -m benchmarks.tabular``: trains the networks of the tabular benchmark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import cli
from harness.core.table import TABLE, Table

TABLE_HERE = Path(__file__).parent / TABLE.name
CONFIGURATIONS, QUICK_CONFIGURATIONS, SEEDS = 128, 2, 2

EXAMPLES = """
Draws configurations of the space "architectures" that fit the budget, and trains each with several seeds by the
protocol of the study "scenes". V2, which exceeds the budget, is trained likewise. Each network is evaluated after every
epoch, on the search split and on the validation images; no choice depends on either. The table is written after every
training, and the same command resumes after an interruption. It takes hours.

--measure measures the latency of the networks that are trained, relative to V1. It trains nothing. Nothing else should
run meanwhile.

examples:
  python -m benchmarks.tabular
  python -m benchmarks.tabular --measure
  python -m benchmarks.tabular --quick --runs /tmp/runs"""


def main(argv: Sequence[str] | None = None) -> int:
    """Train or measure, and print what the table has, or one JSON object with ``--json``."""
    parser = _parser()
    given = parser.parse_args(argv)
    configurations = given.configurations
    if configurations is None:
        configurations = QUICK_CONFIGURATIONS if given.quick else CONFIGURATIONS
    for option, value in (("configurations", configurations), ("seeds", given.seeds)):
        if value < 1:
            parser.error(f"--{option} must be at least 1, got {value}")
    cli.require_writable("--runs", given.runs)
    if given.out is not None:
        cli.require_writable("--out", given.out.parent)

    # Imported after the cheap checks: PyTorch takes seconds to load.
    from benchmarks.tabular.make import Maker
    from benchmarks.tabular.protocol import protocol

    study = protocol(configurations, given.seeds, quick=given.quick)
    with cli.Progress() as progress:
        maker = Maker(study, given.runs, given.workers, given.threads, progress, _command(given))
        out = given.out or (maker.folder / "table.json" if given.quick else TABLE_HERE)
        with maker.opened():
            if given.measure:
                maker.measure(out)
            else:
                maker.train(out)
            table = maker.table()
    answer = summary(table) | {"table": str(out)}
    if given.json:
        cli.emit(answer)
    else:
        cli.show(*(f"{name.replace('_', ' ')}: {value}" for name, value in answer.items()))
    return 0


def summary(table: Table) -> dict[str, Any]:
    """Return how much of a table there is."""
    trainings = [one for network in table.networks for one in network.trainings]
    return {
        "complete": table.complete,
        "networks": len(table.networks),
        "trainings": len(trainings),
        "wanted": table.wanted,
        "failed": sum(one.state == "failed" for one in trainings),
        "measured": sum(bool(network.speed) for network in table.networks),
    }


def _command(given: Any) -> str:
    """Return the command that makes this table, without what it does not depend on."""
    words = ["python", "-m", "benchmarks.tabular", *(["--quick"] if given.quick else [])]
    words += [] if given.configurations is None else ["--configurations", str(given.configurations)]
    words += [] if given.seeds == SEEDS else ["--seeds", str(given.seeds)]
    words += [] if given.threads is None else ["--threads", str(given.threads)]
    return " ".join(words)


def _parser() -> cli.Parser:
    parser = cli.Parser("benchmarks.tabular", "Train the networks of the tabular benchmark.", EXAMPLES)
    parser.add_argument(
        "--configurations", type=int, metavar="N", help=f"networks to draw (default: {CONFIGURATIONS}; more continue)"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="trainings per network (%(default)s)")
    parser.add_argument("--workers", type=int, metavar="N", help="trainings at once (default: by cores and memory)")
    cli.add(parser, "--threads")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"the table (default: {TABLE})")
    parser.add_argument("--measure", action="store_true", help="measure latencies instead of training")
    parser.add_argument(
        "--quick", action="store_true", help=f"toy sizes, {QUICK_CONFIGURATIONS} networks; its table stays in --runs"
    )
    cli.add(parser, "--runs", "--json")
    return parser


if __name__ == "__main__":
    cli.run(main)
