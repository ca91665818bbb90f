"""``python -m harness.simulate``: replays searches on a table of trained networks, without training."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import cli
from harness.core.files import REPORTS
from harness.core.limits import check_name
from harness.core.machine import available_cores
from harness.core.names import load_space
from harness.core.numbers import integer
from harness.core.protocol import OBJECTIVES, PRUNERS
from harness.core.replay import REPLAYED
from harness.core.table import TABLE, Table
from harness.errors import InputError, unknown_name

SEEDS, SLOW_SEEDS, TRIALS = 50, 10, 64
SLOW = "gp"
"""The sampler whose searches take far longer than those of the others."""

EXAMPLES = f"""
A search with Optuna alone is told the budget by constraints; one with feasible-… gets its proposals from this harness.
Each is told the AP of every configuration that it tries: from the table, or from a surrogate that was fitted to it.
Prints a table and the findings, and writes runs/simulation-SPACE/report.md with pictures. Searches with the Gaussian
process take longest, so that by default they have {SLOW_SEEDS} seeds instead of {SEEDS}.

With several objectives it measures early stopping instead: what --pruner dominated would have saved and lost, in the
same trials. Writes runs/stopping-SPACE/report.md.

examples:
  python -m harness.simulate
  python -m harness.simulate --samplers tpe,feasible-tpe --trials 128
  python -m harness.simulate --objectives ap,params --publish stopping
  python -m harness.simulate --publish simulation"""


def main(argv: Sequence[str] | None = None) -> int:
    """Replay searches; print the table and the findings, or one JSON object with ``--json``."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.note and not given.publish:
        parser.error("--note needs --publish")
    for option in ("seeds", "slow_seeds", "trials", "workers"):
        if getattr(given, option) < 1:
            parser.error(f"--{option.replace('_', '-')} must be at least 1, got {getattr(given, option)}")
    cores = available_cores()
    if given.workers > cores:
        parser.error(f"--workers must be at most the number of cores, {cores}, got {given.workers}")
    objectives = tuple(filter(None, given.objectives.split(",")))
    pruner = given.pruner or ("dominated" if len(objectives) > 1 else "none")
    if pruner not in PRUNERS:
        raise unknown_name("pruner", pruner, PRUNERS)
    if pruner == "none" and len(objectives) > 1:
        parser.error(
            "with several --objectives, trials are compared with and without stopping: leave out --pruner none"
        )
    searches = _searches(given)
    table = Table.load(given.table)
    replace(table.config, objectives=objectives, pruner=pruner)  # Refuses what a study refuses.
    space = load_space(given.space or table.space)
    targets = [given.runs / f"{'stopping' if len(objectives) > 1 else 'simulation'}-{table.space}"]
    if given.publish is not None:
        check_name(given.publish, "--publish")
        targets.append(REPORTS / given.publish)

    # Imported after the cheap checks: Optuna, scikit-learn, pandas and Matplotlib take seconds to load.
    from harness.reporting.simulation import check_simulation, summary, write_simulation
    from harness.search.simulation import simulate

    for target in targets:
        check_simulation(target)
    with cli.Progress() as progress:
        found = simulate(
            table,
            space,
            searches,
            trials=given.trials,
            pruner=pruner,
            objectives=objectives,
            noisy=not given.without_noise,
            workers=given.workers,
            progress=progress.stage,
        )
    written = [write_simulation(found, target, _command(given), given.note) for target in targets]
    if given.json:
        report_path, published_path = (*map(str, written), None)[:2]
        cli.emit(summary(found) | {"report": report_path, "published_report": published_path})
        return 0
    _print(found, written)
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser("harness.simulate", "Replay searches on a table of trained networks.", EXAMPLES)
    parser.add_argument(
        "--table", type=Path, default=TABLE, metavar="FILE", help="made by python -m benchmarks.tabular (%(default)s)"
    )
    parser.add_argument("--space", metavar="NAME", help="the table's search space (default: the one it names)")
    parser.add_argument(
        "--samplers", default=",".join(REPLAYED), metavar="LIST", help="searches to replay (default: %(default)s)"
    )
    parser.add_argument("--seeds", type=integer, default=SEEDS, metavar="N", help="searches per sampler (%(default)s)")
    parser.add_argument(
        "--slow-seeds",
        type=integer,
        default=SLOW_SEEDS,
        metavar="N",
        help="searches with the Gaussian process, at most --seeds (%(default)s)",
    )
    parser.add_argument("--trials", type=integer, default=TRIALS, metavar="N", help="trials per search (%(default)s)")
    parser.add_argument(
        "--objectives",
        default="ap",
        metavar="LIST",
        help=f"ap, or several of {','.join(OBJECTIVES)}; latency needs a table with measured speeds (%(default)s)",
    )
    parser.add_argument(
        "--pruner",
        metavar="NAME",
        help=f"{', '.join(PRUNERS)} (default: none; with several objectives 'dominated')",
    )
    parser.add_argument("--without-noise", action="store_true", help="tell searches expected APs, not those of a seed")
    parser.add_argument(
        "--workers", type=integer, default=available_cores(), metavar="N", help="processes (default: all cores)"
    )
    parser.add_argument("--publish", metavar="NAME", help="also write it to reports/NAME/, to be committed")
    cli.add(parser, "--note", "--runs", "--json")
    return parser


def _searches(given: Any) -> dict[str, int]:
    """Return sampler → number of its seeds.

    Raises:
        InputError: a sampler is unknown, or none is given.
    """
    names = list(dict.fromkeys(filter(None, given.samplers.split(","))))
    for name in names:
        if name not in REPLAYED:
            raise unknown_name("sampler", name, REPLAYED)
    if not names:
        raise InputError(f"--samplers names no sampler (known: {', '.join(REPLAYED)})")
    return {name: min(given.seeds, given.slow_seeds) if name.endswith(SLOW) else given.seeds for name in names}


def _command(given: Any) -> str:
    """Return the command that repeats this simulation, without paths of this machine."""
    words = ["python", "-m", "harness.simulate"]
    words += [] if given.table == TABLE else ["--table", f"PATH/TO/{given.table.name}"]
    words += [] if given.samplers == ",".join(REPLAYED) else ["--samplers", given.samplers]
    usual = {"seeds": SEEDS, "slow_seeds": SLOW_SEEDS, "trials": TRIALS, "objectives": "ap", "pruner": None}
    for option, default in usual.items():
        value = getattr(given, option)
        words += [] if value == default else [f"--{option.replace('_', '-')}", str(value)]
    words += ["--without-noise"] if given.without_noise else []
    words += ["--publish", given.publish] if given.publish else []
    words += ["--note", given.note] if given.note else []
    return shlex.join(words)


def _print(found: Any, written: Sequence[Path]) -> None:
    from harness.reporting.format import terminal
    from harness.reporting.publish import places
    from harness.reporting.simulation.findings import headline, remarks
    from harness.reporting.simulation.page import contents_of

    shown = contents_of(found)
    said = [headline(found), *remarks(found), *shown.remarks]
    cli.show(*said, terminal(shown.table), *(f"- {sentence}" for sentence in shown.findings))
    cli.show(*map(places, written))


if __name__ == "__main__":
    cli.run(main)
