"""``python -m harness.teacher``: train V1 for a study's data and protocol, once, and draw how it learned."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness import cli
from harness.core.names import load_study
from harness.core.record import TrialRecord
from harness.errors import InputError
from harness.search.progress import make_progress
from harness.training.teacher import ensure_teacher

EXAMPLES = """examples:
  python -m harness.teacher                                   V1 on the embedded data, as `make study` wants it
  python -m harness.teacher --study widerface --data PATH/TO/WIDERFACE --init-backbone BACKBONE.safetensors
  python -m harness.teacher --study widerface --data PATH/TO/WIDERFACE --teacher featherface:RELEASED.safetensors

A killed training goes on when the same command runs again. The folder that is printed at the end holds the weights
(the moving average where --ema is given, of the best epoch where --patience is), record.json and learning_curve.png.
`python -m harness.study` with the same study, data and schedule finds the teacher there."""

CURVE = "learning_curve.png"


def main(argv: Sequence[str] | None = None) -> int:
    """Train or find the teacher of a study, and print what it is."""
    parser = cli.Parser(
        "harness.teacher", "Train the V1 teacher of a study once, or show the one that is there.", EXAMPLES
    )
    parser.add_argument("--study", default="default", metavar="NAME", help="study to train for (default: %(default)s)")
    parser.add_argument(
        "--teacher",
        default="auto",
        metavar="[ARCH:]PATH",
        help="weights to evaluate instead of training: V1's, or those of a named architecture (featherface:PATH)",
    )
    parser.add_argument("--init-backbone", type=Path, metavar="PATH", help="weights file to start the backbone from")
    parser.add_argument("--data", metavar="PATH", help="'synthetic' or the folder of a WIDER FACE copy")
    parser.add_argument("--size", type=int, help="side of the training crop, pixels")
    parser.add_argument("--train-images", type=int, help="training images; 0 for all of a folder")
    parser.add_argument("--val-images", type=int, help="validation images; 0 for all of a folder")
    parser.add_argument("--epochs", type=int, help="passes over the training images")
    parser.add_argument("--batch", type=int, help="images a step")
    parser.add_argument("--lr", type=float, help="peak learning rate")
    parser.add_argument(
        "--ema", type=float, metavar="DECAY", help="moving average of the weights, kept instead of them"
    )
    parser.add_argument("--patience", type=int, metavar="N", help="stop after N epochs that bring no better AP")
    parser.add_argument("--seed", type=int, help="seed of the training")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads (default: %(default)s)"
    )
    parser.add_argument("--runs", type=Path, default=cli.RUNS, help="folder of runs (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    arguments = parser.parse_args(argv)
    if arguments.threads < 1:
        raise InputError(f"threads must be at least 1, got {arguments.threads}")
    study = load_study(arguments.study)
    data = {"source": arguments.data} | {
        name: getattr(arguments, name) for name in ("size", "train_images", "val_images")
    }
    schedule = {name: getattr(arguments, name) for name in ("epochs", "batch", "lr", "ema", "patience")}
    study = replace(
        study,
        data=replace(study.data, **_given({"source": arguments.data, **data})),
        teacher=replace(study.teacher, **_given(schedule)),
        **_given({"seed": arguments.seed}),
    )
    try:
        arguments.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--runs {arguments.runs} cannot be made ({error.strerror}); choose a writable folder"
        ) from error
    with make_progress() as progress:
        teacher = ensure_teacher(
            study,
            arguments.runs,
            arguments.teacher,
            arguments.init_backbone,
            arguments.device,
            arguments.threads,
            progress.stage,
        )
    record = teacher.record
    curve = draw(record, teacher.path.parent) if record.epochs else None
    if arguments.json:
        cli.emit({"path": str(teacher.path), "curve": None if curve is None else str(curve), **asdict(record)})
    else:
        scores = "  ".join(f"{name} {'–' if ap is None else f'{100 * ap:.2f}'}" for name, ap in record.ap.items())
        print(f"{record.label}: {record.params:,} parameters, AP {scores}\n{teacher.path}")
        if curve is not None:
            print(curve)
    return 0


def draw(record: TrialRecord, folder: Path) -> Path:
    """Draw a teacher's losses and APs by epoch into ``folder``, unless that was done, and return the picture's path."""
    path = folder / CURVE
    if not path.exists():
        from harness.reporting.study.learning import training
        from harness.reporting.style import save  # Loads pandas and Matplotlib, which takes seconds.

        save(training(record), path)
    return path


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


if __name__ == "__main__":
    cli.run(main)
