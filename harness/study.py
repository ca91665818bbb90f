"""``python -m harness.study``: searches for students of V1 within a budget, and compares them with V1 and V2."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness import cli
from harness.core.files import RUNS
from harness.core.manifest import Manifest
from harness.core.names import load_space, load_study, space_names, study_names
from harness.core.numbers import integer, number
from harness.core.protocol import COMPARE_AP, OBJECTIVES, PRUNERS, SAMPLERS, StudyConfig
from harness.errors import InputError, Preempted
from harness.search.cluster import Cluster

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.table import Table

    from harness.deployment.model import Model
    from harness.search.resources import Resources

EXAMPLES = """
Trains V1 as the teacher (once), the references and the candidates, measures speeds, and prints a table. Writes
everything to runs/NAME/, the report to runs/NAME/report/. V1 starts from --init-backbone, students from the teacher's
backbone; if --teacher and --init-backbone are both given, students start from the latter. Run the same command again
to resume an interrupted study.

examples:
  python -m harness.study                                  the built-in data, minutes on two CPU cores
  python -m harness.study --trials 40 --name longer        a longer search
  python -m harness.study --data PATH/TO/WIDERFACE         WIDER FACE images, with the schedule of studies/widerface.py
  python -m harness.study --objectives ap,params           accuracy against parameters: a Pareto front
  python -m harness.study --max-latency-ratio 0.7          candidates predicted to take at most 0.7 of V1's time
  python -m harness.study --space-file mine.py             a space of yours; runs/NAME/ keeps a copy of the file
  python -m harness.study --status longer                  how far that study is, in another terminal
  python -m harness.study --list                           names of spaces, studies, samplers and pruners"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a study, or resume it; print the table and the report's path, or one JSON object with ``--json``."""
    given = _parser().parse_args(argv)
    if given.list:
        return _list(given.json)
    if given.status is not None:
        return _status(given)
    config = configure(given)

    # Imported here so that help and refused input answer at once.
    resources = replace(cli.resources(given, "harness.study", argv, config.space), cluster=_cluster(given))
    try:
        study = Study.run(config, resources)
    except Preempted:
        raise
    except KeyboardInterrupt:
        report = given.runs / config.name / "report" / "report.md"
        if report.exists():
            print(f"report of the trials so far: {report}", file=sys.stderr)
        raise

    from harness.reporting.publish import places

    found = study.summary()
    if given.json:
        cli.emit(found)
        return 0
    share = found["overhead_share"]  # None if all trainings were read from other studies.
    spent = f"{100 * (share or 0):.1f} % of the trials' time was neither training, evaluation nor speed measurement"
    cli.show(study.table(), *([] if share is None else [spent]), places(study.report))
    return 0


class Study:
    """A study in a folder of studies, finished or not.

    >>> import harness
    >>> study = harness.Study("toy")
    >>> study.config.space, study.summary()["trials"]["complete"]
    ('v2_light', 3)
    >>> int(study.results().set_index("label")["params"]["v2"])
    256156
    >>> student = study.load("best")

    Args:
        name: the study's name.
        runs: the folder of studies.

    Attributes:
        folder: its folder.

    Raises:
        InputError: there is no such study; the message lists those that there are.
    """

    def __init__(self, name: str, runs: str | Path = RUNS) -> None:
        from harness.reporting.study.data import find_study

        self.folder = find_study(name, Path(runs))

    @classmethod
    def run(cls, config: StudyConfig, resources: "Resources | None" = None) -> Self:
        """Run a study, or continue it, with its progress on stderr.

        Args:
            config: such as ``load_study("quick")``, or a copy by ``dataclasses.replace``.
            resources: folder of studies, workers, device, tracking; by default ``runs/`` and what the machine has.

        Raises:
            HarnessError: as ``harness.search.run.run_study``.
        """
        from harness.search.resources import Resources
        from harness.search.run import run_study

        where = resources or Resources(RUNS, device=cli.device("auto"))
        with cli.Progress() as progress:
            run_study(config, where, progress)
        return cls(config.name, where.runs)

    @property
    def config(self) -> StudyConfig:
        """Return the study's configuration."""
        return Manifest.load(self.folder).config

    @property
    def report(self) -> Path:
        """Return the path of its report."""
        return self.folder / "report" / "report.md"

    def results(self) -> "DataFrame":
        """Return one row per trained network: parameters, AP on both splits, speed, options."""
        from harness.reporting.study.data import load
        from harness.reporting.study.tables import results

        return results(load(self.folder))

    def summary(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        from harness.reporting import summary

        return summary(self.folder)

    def table(self) -> "Table":
        """Return the table that the command prints: V1, V2 and the best student."""
        from harness.reporting import terminal_table

        return terminal_table(self.folder)

    def load(self, label: str = "best") -> "Model":
        """Return one of its networks, ready to run: ``best``, ``v1``, ``v2`` or a trial's number."""
        from harness.deployment.model import load

        return load(f"{self.folder.name}/{label}", runs=self.folder.parent)


def _parser() -> cli.Parser:
    parser = cli.Parser(
        "harness.study", "Search light face detectors under a parameter budget, distilled from V1.", EXAMPLES
    )
    what = parser.add_argument_group("what is searched")
    study, space = what.add_mutually_exclusive_group(), what.add_mutually_exclusive_group()
    study.add_argument(
        "--study", metavar="NAME", help="study protocol (default: 'default'; with --data FOLDER: 'widerface')"
    )
    cli.add(study, "--study-file")
    space.add_argument("--space", metavar="NAME", help="search space (default: the study's)")
    cli.add(space, "--space-file")
    what.add_argument("--name", help="the study's name and folder in --runs (default: from study, space and data)")
    what.add_argument("--trials", type=integer, metavar="N", help="number of candidates; 0 trains only the references")
    what.add_argument(
        "--window",
        type=integer,
        metavar="N",
        help="at most N candidates train at once; the sequence of trials depends on N",
    )
    what.add_argument("--sampler", metavar="NAME", help=", ".join(SAMPLERS))
    what.add_argument(
        "--pruner",
        metavar="NAME",
        help=f"{', '.join(PRUNERS)}; with several objectives 'dominated' or 'none' (default)",
    )
    what.add_argument("--objectives", metavar="LIST", help=f"ap, or several of {','.join(OBJECTIVES)}")
    what.add_argument(
        "--finalists", type=integer, metavar="N", help="candidates that are trained to the end after all were scored"
    )
    what.add_argument(
        "--no-sharing", action="store_true", help="train all candidates, but fewer, instead of scoring them"
    )
    what.add_argument("--from-scratch", action="store_true", help="students start from random weights")
    what.add_argument(
        "--references", metavar="LIST", help="archs trained for comparison; v2-alone is v2 without a teacher"
    )
    what.add_argument(
        "--seeds",
        type=integer,
        metavar="N",
        help="trainings per reference and of the best student, each with its own seed",
    )
    cli.add(what, "--data", "--size", "--train-images", "--search-images", "--val-images", "--epochs", "--seed")
    cli.add(what, "--teacher", "--init-backbone", "--budget", "--max-macs", "--max-megabytes")
    what.add_argument(
        "--max-latency-ratio",
        type=number,
        metavar="R",
        help="predicted latency allowed, as a multiple of V1's on this machine (default: any)",
    )
    where = parser.add_argument_group("where and how it runs")
    cli.add(where, "--workers")
    where.add_argument(
        "--engine",
        choices=("processes", "ray"),
        default="processes",
        help="train in processes of this machine (default), or on a Ray cluster (docs/howto/cluster.md)",
    )
    where.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="head of the Ray cluster (default: RAY_ADDRESS, or one that is started on this machine, on loopback)",
    )
    where.add_argument(
        "--cpus-per-trial", type=integer, metavar="N", help="cores that Ray reserves for a trial (default: --threads)"
    )
    where.add_argument(
        "--gpus-per-trial", type=number, metavar="X", help="share of a GPU that Ray reserves for a trial (default: 1)"
    )
    cli.add_address(where, "--storage", "database of the trials (default: SQLite in runs/NAME)")
    cli.add_address(where, "--tracking-uri", cli.TRACKING)
    where.add_argument("--status", metavar="NAME", help="show how far a study is, running or not; nothing is changed")
    where.add_argument("--list", action="store_true", help="list spaces, studies, samplers and pruners")
    cli.add(where, "--threads", "--device", "--runs", "--json")
    return parser


def configure(given: Any) -> StudyConfig:
    """Return the study configuration that the arguments describe.

    Raises:
        InputError: a name is unknown, a value is out of range, or the data folder does not exist.
    """
    name, study, data = cli.protocol(given, "default", "widerface")
    changed = cli.chosen(given, "space", "trials", "seed", "sampler", "pruner", "window", "seeds")
    for option in ("objectives", "references"):
        if getattr(given, option) is not None:
            changed[option] = tuple(filter(None, getattr(given, option).split(",")))
    if len(changed.get("objectives", study.objectives)) > 1 and study.pruner in COMPARE_AP:
        changed.setdefault("pruner", "none")
    sharing = None if given.no_sharing else study.sharing
    if given.no_sharing and study.sharing is not None:
        changed.setdefault("trials", study.sharing.unshared)
    if given.finalists is not None:
        if sharing is None:
            raise InputError(f"--finalists: study '{name}' trains every candidate, so that it has no finalists")
        sharing = replace(sharing, finalists=given.finalists)
    bounds = cli.chosen(given, "max_macs", "max_bytes", "max_latency_ratio", max_params="budget")
    if "max_macs" in bounds:
        bounds["macs_size"] = study.speed.size
    config = replace(
        study,
        budget=replace(study.budget, **bounds),
        from_scratch=given.from_scratch or study.from_scratch,
        sharing=sharing,
        **changed,
    )
    load_space(config.space)
    return replace(config, name=given.name or cli.study_name(name, config.space, data))


def _status(given: Any) -> int:
    from harness.search.status import status

    found = status(given.status, given.runs, given.storage)
    if given.json:
        cli.emit(found.to_dict())
        return 0
    parts = [cli.board_table(found.board)] if found.board.running or found.board.ended else []
    cli.show(*parts, found.summary(), *([f"report: {found.report}"] if found.report else []))
    return 0


def _cluster(given: Any) -> Cluster | None:
    """Return the Ray cluster that the arguments describe; None if networks are trained in processes."""
    shares = cli.chosen(given, "address", cpus="cpus_per_trial", gpus="gpus_per_trial")
    if given.engine == "ray":
        return Cluster(**shares)
    if shares:
        raise InputError("--address, --cpus-per-trial and --gpus-per-trial belong to --engine ray")
    return None


def _list(as_json: bool) -> int:
    spaces = {name: load_space(name) for name in space_names()}
    studies = {name: load_study(name) for name in study_names()}
    listed = {
        "spaces": {name: f"{space.description} ({space.size():,} configurations)" for name, space in spaces.items()},
        "studies": {name: study.description for name, study in studies.items()},
        "samplers": SAMPLERS,
        "pruners": PRUNERS,
    }
    if as_json:
        cli.emit(listed)
        return 0
    width = max(len(name) for entries in listed.values() for name in entries)
    for kind, entries in listed.items():
        print(kind)
        for name, note in entries.items():
            print(f"  {name:<{width}} {note}")
    return 0


if __name__ == "__main__":
    cli.run(main)
