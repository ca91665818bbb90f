"""``python -m harness.teacher``: trains V1 once for a study's data and protocol, and plots its learning curve."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from harness import cli
from harness.core.limits import check_name
from harness.core.machine import available_cores
from harness.core.names import load_study
from harness.core.numbers import integer, number
from harness.core.record import TrialRecord
from harness.errors import InputError

EXAMPLES = """
Prints the teacher's parameters, its AP and the path of its weights: their moving average with --ema, those of the best
epoch with --patience. The folder also holds record.json and learning_curve.png. Run the same command again to resume an
interrupted training.

A study reuses this teacher if data, seed, device, threads and the teacher's schedule are the same; that of `make study`
comes with the harness. Pass a teacher with another schedule to the study as --teacher PATH.

examples:
  python -m harness.teacher                                   V1 on the built-in data, for `make study`
  python -m harness.teacher --study widerface --data PATH/TO/WIDERFACE --init-backbone BACKBONE.safetensors
  python -m harness.teacher --study widerface --data PATH/TO/WIDERFACE --teacher featherface:RELEASED.safetensors"""

CURVE = "learning_curve.png"


def main(argv: Sequence[str] | None = None) -> int:
    """Train or find the teacher of a study, and print its parameters, AP and path."""
    given = _parser().parse_args(argv)
    if given.threads is not None and given.threads < 1:
        raise InputError(f"--threads must be at least 1, got {given.threads}")
    named = load_study(given.study)
    study = replace(
        named,
        data=replace(named.data, **cli.chosen(given, *cli.DATA, source="data")),
        teacher=replace(named.teacher, **cli.chosen(given, "epochs", "batch", "lr", "ema", "patience")),
        **cli.chosen(given, "seed"),
    )
    cli.require_writable("--runs", given.runs)

    from harness.training.shipped import ship
    from harness.training.teacher import ensure_teacher  # Loads PyTorch, which takes seconds.

    if given.publish is not None:
        check_name(given.publish, "--publish")
        if study.data.source != "synthetic" or given.teacher != "auto":
            raise InputError("--publish: only a teacher that was trained on the built-in scenes may be published")
    device = cli.device(given.device)
    threads = given.threads or (1 if device == "cpu" else available_cores())
    with cli.Progress() as progress:
        teacher = ensure_teacher(
            study,
            given.runs,
            given.teacher,
            given.init_backbone,
            device,
            threads,
            progress.stage,
            shipped=given.publish is None,
        )
    record = teacher.record
    published = None if given.publish is None else ship(teacher.path, record, given.publish, _command(given))
    curve = draw(record, teacher.path.parent) if record.epochs else None
    if given.json:
        where = {"path": teacher.path, "curve": curve, "published": published}
        cli.emit({key: None if path is None else str(path) for key, path in where.items()} | asdict(record))
        return 0
    scores = "  ".join(f"{name} {'–' if ap is None else f'{100 * ap:.2f}'}" for name, ap in record.ap.items())
    cli.show(f"{record.label}: {record.params:,} parameters, AP {scores}", str(teacher.path))
    for path in (curve, published):
        if path is not None:
            cli.show(str(path))
    if given.teacher == "auto" and study.teacher != named.teacher:
        cli.show(f"its schedule differs from that of study '{named.name}': pass it with --teacher {teacher.path}")
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser(
        "harness.teacher", "Train a study's V1 teacher once; show it if it was trained before.", EXAMPLES
    )
    parser.add_argument("--study", default="default", metavar="NAME", help="study to train for (default: %(default)s)")
    cli.add(parser, "--data", "--size", "--train-images", "--search-images", "--val-images", "--epochs")
    parser.add_argument("--batch", type=integer, metavar="N", help="images per step")
    parser.add_argument("--lr", type=number, metavar="RATE", help="peak learning rate")
    parser.add_argument(
        "--ema", type=number, metavar="DECAY", help="keep a moving average of the weights with this decay"
    )
    parser.add_argument("--patience", type=integer, metavar="N", help="stop after N epochs without a better AP")
    cli.add(parser, "--init-backbone", help="weights file that V1's backbone starts from")
    cli.add(parser, "--seed", "--teacher", "--threads", "--device", "--runs", "--json")
    parser.add_argument(
        "--publish", metavar="NAME", help="train it even if it comes with the harness, and write harness/weights/NAME"
    )
    return parser


def _command(given: Any) -> str:
    words = ["python", "-m", "harness.teacher", "--study", given.study, "--publish", given.publish]
    for option in ("size", "train_images", "search_images", "val_images", "epochs", "batch", "lr", "ema", "patience"):
        value = getattr(given, option)
        words += [] if value is None else [f"--{option.replace('_', '-')}", str(value)]
    return " ".join([*words, *([] if given.seed is None else ["--seed", str(given.seed)])])


def draw(record: TrialRecord, folder: Path) -> Path:
    """Plot a teacher's losses and APs by epoch to a file in ``folder``, if it is missing, and return its path."""
    path = folder / CURVE
    if not path.exists():
        from harness.reporting.study.learning import training
        from harness.reporting.style import save  # Loads pandas and Matplotlib, which takes seconds.

        save(training(record), path)
    return path


if __name__ == "__main__":
    cli.run(main)
