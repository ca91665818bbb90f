"""``python -m harness.study``: search students under a budget, distilled from V1, and compare them with V1 and V2."""

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from harness import cli
from harness.core.names import load_space, load_study, space_names, study_names
from harness.core.protocol import OBJECTIVES, PRUNERS, SAMPLERS, Budget, StudyConfig
from harness.core.secrets import mask_command
from harness.errors import InputError

_EPILOG = """examples:
  python -m harness.study                                  the embedded data, a few minutes
  python -m harness.study --trials 40 --name longer        a longer search
  python -m harness.study --data ../widerface              real photographs; see studies/widerface.py
  python -m harness.study --objectives ap,params           the front of accuracy against parameters
  python -m harness.study --list                           names of spaces, studies, samplers

The same command again goes on with a study that was interrupted. Everything is kept in runs/NAME."""

_SAMPLER_NOTES = {
    "tpe": "tree-structured Parzen estimator (Optuna's default)",
    "random": "uniform over everything that fits the budget",
    "nsga2": "genetic algorithm NSGA-II",
    "gp": "Gaussian process",
}
_PRUNER_NOTES = {
    "median": "stops a trial below the median of earlier ones at its epoch",
    "halving": "keeps the better half at epochs 1, 2, 4, ...",
    "none": "trains every trial to its end",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a study, or go on with it; print the table and the report's path, or one JSON object with ``--json``."""
    given = _parser().parse_args(argv)
    if given.list:
        return _list(given.json)
    config = configure(given)
    signal.signal(signal.SIGTERM, _terminated)

    # Only now, so that help and refused input answer at once.
    from harness.search.progress import make_progress
    from harness.search.run import Resources, run_study

    resources = Resources(
        runs=given.runs,
        workers=given.workers,
        threads=given.threads,
        device=_device(given.device),
        teacher=given.teacher,
        init_backbone=given.init_backbone,
        storage=given.storage,
        tracking_uri=given.tracking_uri,
        command=mask_command(["python", "-m", "harness.study", *(sys.argv[1:] if argv is None else argv)]),
    )
    with make_progress() as progress:
        report = run_study(config, resources, progress)

    from rich.console import Console

    from harness.reporting import summary, terminal_table

    found = summary(given.runs / config.name)
    if given.json:
        cli.emit(found)
        return 0
    console = Console(width=None if sys.stdout.isatty() else 140)  # A file has room for every column.
    console.print(terminal_table(given.runs / config.name))
    console.print(
        f"{100 * found['overhead_share']:.1f} % of the trials' time was neither training, evaluation nor speed "
        f"measurement\nreport: {report}",
        soft_wrap=True,
        highlight=False,
    )
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser(
        "harness.study", "Search light face detectors under a parameter budget, distilled from V1.", _EPILOG
    )
    what = parser.add_argument_group("what is searched")
    what.add_argument("--study", metavar="NAME", help="protocol (default: 'default'; 'widerface' for a folder)")
    what.add_argument("--space", metavar="NAME", help="search space, in place of the study's")
    what.add_argument("--data", metavar="PATH", help="'synthetic', or the folder of a WIDER FACE copy")
    what.add_argument("--name", help="the study's name and folder in runs/ (default: from study, space and data)")
    what.add_argument("--trials", type=int, metavar="N", help="candidates to try; 0 trains the references only")
    what.add_argument("--seed", type=int, metavar="N", help="seed of everything random")
    what.add_argument("--sampler", metavar="NAME", help=", ".join(SAMPLERS))
    what.add_argument("--pruner", metavar="NAME", help=f"{', '.join(PRUNERS)}; several objectives cannot prune")
    what.add_argument("--objectives", metavar="LIST", help=f"ap, or several of {','.join(OBJECTIVES)}")
    what.add_argument("--budget", type=int, metavar="N", help="parameters that a candidate may have")
    cli.add_bounds(what)
    what.add_argument("--epochs", type=int, metavar="N", help="passes of a student over the training images")
    what.add_argument("--size", type=int, metavar="PIXELS", help="side of the square training crop")
    what.add_argument("--train-images", type=int, metavar="N", help="training images; 0 for all of a folder")
    what.add_argument("--val-images", type=int, metavar="N", help="validation images; 0 for all of a folder")
    what.add_argument(
        "--teacher",
        default="auto",
        metavar="[ARCH:]PATH",
        help="V1 weights, or those of a named arch (featherface:PATH); 'auto' trains V1 once (default)",
    )
    what.add_argument(
        "--init-backbone",
        type=Path,
        metavar="PATH",
        help="trained backbone that the teacher's training and the students start from (default: the teacher's)",
    )
    what.add_argument("--from-scratch", action="store_true", help="students start from random numbers")
    what.add_argument(
        "--references", metavar="LIST", help="archs trained beside the search; v2-alone is v2 without a teacher"
    )
    what.add_argument("--seeds", type=int, metavar="N", help="trainings of each reference, and of the best student")
    where = parser.add_argument_group("where and how it runs")
    where.add_argument("--workers", type=int, metavar="N", help="candidates trained at once (default: the fastest)")
    where.add_argument("--threads", type=int, metavar="N", help="threads of each worker")
    where.add_argument("--device", default="auto", help="cpu, cuda or cuda:N (default: cuda where there is one)")
    where.add_argument("--runs", type=Path, default=cli.RUNS, metavar="DIR", help="folder of runs (default: runs)")
    where.add_argument("--storage", metavar="URL", help="database of the trials (default: SQLite in runs/NAME)")
    where.add_argument("--tracking-uri", metavar="URL", help="MLflow (default: SQLite in runs/); 'none' tracks nothing")
    where.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    where.add_argument("--list", action="store_true", help="list spaces, studies, samplers and pruners")
    return parser


def configure(given: Any) -> StudyConfig:
    """Return the study that the arguments ask for.

    Raises:
        InputError: a name is unknown, a value is out of range, or the data folder does not exist.
    """
    folder = None if given.data in (None, "synthetic") else Path(given.data)
    if folder is not None and not folder.is_dir():
        raise InputError(f"--data: there is no folder {folder}; give 'synthetic' or the folder of a WIDER FACE copy")
    name = given.study or ("default" if folder is None else "widerface")
    study = load_study(name)
    if folder is None and given.data is None and study.data.source != "synthetic":
        raise InputError(f"study '{name}' is about photographs: give the folder of a WIDER FACE copy with --data")
    data = _given(source=given.data, size=given.size, train_images=given.train_images, val_images=given.val_images)
    objectives = None if given.objectives is None else tuple(given.objectives.split(","))
    several = len(objectives or study.objectives) > 1
    changed = _given(
        space=given.space,
        trials=given.trials,
        seed=given.seed,
        sampler=given.sampler,
        pruner=given.pruner or ("none" if several else None),
        objectives=objectives,
        budget=_budget(given, study),
        data=replace(study.data, **data) if data else None,
        train=None if given.epochs is None else replace(study.train, epochs=given.epochs),
        from_scratch=given.from_scratch or None,
        references=None if given.references is None else tuple(filter(None, given.references.split(","))),
        seeds=given.seeds,
    )
    config = replace(study, **changed)
    load_space(config.space)
    source = "synthetic" if folder is None else folder.resolve().name
    return replace(config, name=given.name or default_name(name, config.space, source))


def default_name(study: str, space: str, data: str) -> str:
    """Return ``STUDY-SPACE-DATA``, so that studies of different things do not meet in one folder."""
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in data)
    return "-".join(dict.fromkeys((study, space, safe)))


def _budget(given: Any, study: StudyConfig) -> Budget:
    """Return the study's budget with what the arguments bound; multiply-adds are those at the speed's size."""
    limits = _given(max_params=given.budget, max_macs=given.max_macs, max_bytes=cli.megabytes(given.max_megabytes))
    at = {} if given.max_macs is None else {"macs_size": study.speed.size}
    return replace(study.budget, **limits, **at)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _terminated(*_: Any) -> NoReturn:
    """End on SIGTERM as on Ctrl-C: with a report, and to be gone on with."""
    raise KeyboardInterrupt


def _list(as_json: bool) -> int:
    spaces = {name: load_space(name) for name in space_names()}
    studies = {name: load_study(name) for name in study_names()}
    listed = {
        "spaces": {name: f"{space.description} ({space.size():,} configurations)" for name, space in spaces.items()},
        "studies": {name: study.description for name, study in studies.items()},
        "samplers": _SAMPLER_NOTES,
        "pruners": _PRUNER_NOTES,
    }
    if as_json:
        cli.emit(listed)
        return 0
    for kind, entries in listed.items():
        print(kind)
        for name, note in entries.items():
            print(f"  {name:<16} {note}")
    return 0


if __name__ == "__main__":
    # Workers import this module anew under another name; what follows runs in the study's own process only.
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    cli.run(main)
