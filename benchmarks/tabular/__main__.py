"""``python -m benchmarks.tabular``: trains the networks of the tabular benchmark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import cli
from harness.core.numbers import integer
from harness.core.table import TABLE, Table

TABLE_HERE = Path(__file__).parent / TABLE.name
STUDY, QUICK = "scenes", "quick"
CONFIGURATIONS, QUICK_CONFIGURATIONS, SEEDS = 128, 2, 2

EXAMPLES = f"""
Draws configurations of the space "architectures" that fit the budget, and trains each with several seeds by the
protocol of a study. V2, which exceeds the budget, is trained likewise. Each network is evaluated after every epoch, on
the search split and on the validation images; no choice depends on either. The table is written after every training.
The same command continues it, after an interruption or on another machine: what the table has is not trained again. It
takes hours.

The study is "{STUDY}", and the table {TABLE}; that of another study is NAME.json beside
it. A study of WIDER FACE needs --data. Evaluations of photographs take longer than the training, so that
--evaluate-every may spare them; python -m harness.simulate needs one after every epoch.

--measure measures the latency of the networks that are trained, relative to V1. It trains nothing. Nothing else should
run meanwhile.

examples:
  python -m benchmarks.tabular
  python -m benchmarks.tabular --measure
  python -m benchmarks.tabular --study widerface_mini --data PATH/TO/WIDERFACE --init-backbone BACKBONE \\
      --configurations 32 --seeds 1 --evaluate-every 25
  python -m benchmarks.tabular --quick --runs /tmp/runs"""


def main(argv: Sequence[str] | None = None) -> int:
    """Train or measure, and print what the table has, or one JSON object with ``--json``."""
    parser = _parser()
    given = parser.parse_args(argv)
    configurations = given.configurations
    if configurations is None:
        configurations = QUICK_CONFIGURATIONS if given.quick else CONFIGURATIONS
    if given.quick and given.study is not None:
        parser.error(f"--quick has the toy sizes of the study '{QUICK}': leave out --study")
    for option, value in (
        ("configurations", configurations),
        ("seeds", given.seeds),
        ("evaluate-every", given.evaluate_every),
    ):
        if value < 1:
            parser.error(f"--{option} must be at least 1, got {value}")
    cli.require_writable("--runs", given.runs)
    if given.out is not None:
        cli.require_writable("--out", given.out.parent)

    # Imported after the cheap checks: PyTorch takes seconds to load.
    from benchmarks.tabular.make import Maker
    from benchmarks.tabular.protocol import protocol
    from harness.search.resources import Resources

    name = QUICK if given.quick else given.study or STUDY
    study = protocol(name, configurations, given.seeds, given.data, given.evaluate_every)
    resources = Resources(
        given.runs, given.workers, given.threads, init_backbone=given.init_backbone, tracking_uri="none"
    )
    usual = TABLE_HERE if name == STUDY else TABLE_HERE.with_name(f"{name}.json")
    with cli.Progress() as progress:
        maker = Maker(study, resources, progress, _command(given))
        out = given.out or (maker.folder / "table.json" if given.quick else usual)
        with maker.opened(out):
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
    """Return the command that makes this table, without what it does not depend on and without paths."""
    words = ["python", "-m", "benchmarks.tabular", *(["--quick"] if given.quick else [])]
    words += [] if given.study is None else ["--study", given.study]
    words += [] if given.data is None else ["--data", "PATH/TO/WIDERFACE"]
    words += [] if given.init_backbone is None else ["--init-backbone", f"PATH/TO/{given.init_backbone.name}"]
    words += [] if given.configurations is None else ["--configurations", str(given.configurations)]
    words += [] if given.seeds == SEEDS else ["--seeds", str(given.seeds)]
    words += [] if given.evaluate_every == 1 else ["--evaluate-every", str(given.evaluate_every)]
    words += [] if given.threads is None else ["--threads", str(given.threads)]
    return " ".join(words)


def _parser() -> cli.Parser:
    parser = cli.Parser("benchmarks.tabular", "Train the networks of the tabular benchmark.", EXAMPLES)
    parser.add_argument("--study", metavar="NAME", help=f"study whose protocol is used (default: {STUDY})")
    cli.add(parser, "--data", type=Path, help="the folder of a WIDER FACE copy")
    cli.add(parser, "--init-backbone", help="weights file that V1's backbone starts from")
    parser.add_argument(
        "--configurations",
        type=integer,
        metavar="N",
        help=f"networks to draw (default: {CONFIGURATIONS}; more continue)",
    )
    parser.add_argument("--seeds", type=integer, default=SEEDS, metavar="N", help="trainings per network (%(default)s)")
    parser.add_argument(
        "--evaluate-every", type=integer, default=1, metavar="N", help="epochs between two evaluations (%(default)s)"
    )
    parser.add_argument("--workers", type=integer, metavar="N", help="trainings at once (default: by cores and memory)")
    cli.add(parser, "--threads")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"the table (default: {TABLE}, or by study)")
    parser.add_argument("--measure", action="store_true", help="measure latencies instead of training")
    parser.add_argument(
        "--quick", action="store_true", help=f"toy sizes, {QUICK_CONFIGURATIONS} networks; its table stays in --runs"
    )
    cli.add(parser, "--runs", "--json")
    return parser


if __name__ == "__main__":
    cli.run(main)
