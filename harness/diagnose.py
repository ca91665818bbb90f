"""``python -m harness.diagnose STUDY [LABEL …]``: gradients by loss term, and errors of student and teacher."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness import cli
from harness.core.manifest import FILE, Manifest
from harness.core.numbers import integer
from harness.core.record import load_records
from harness.errors import unknown_name

BATCHES = 32

EXAMPLES = """
Measures for each student the gradient of every loss term at the start and at the end of training, as a share of all
norms and as a cosine to the ground-truth gradient, and the errors of teacher and student on the same training batches.
Writes diagnosis.md, gradients.png and diagnosis.json to runs/STUDY/diagnosis/, and prints the findings.

--data is needed if the images were moved after the study. --init-backbone is needed if the students started from a
file that the study did not keep.

examples:
  python -m harness.diagnose widerface_long                     the distilled references and the best student
  python -m harness.diagnose widerface_long v2 v2-alone         these trainings
  python -m harness.diagnose widerface_long --init-backbone BACKBONE.safetensors --batches 64"""


def main(argv: Sequence[str] | None = None) -> int:
    """Diagnose the students and print the findings, or one JSON object with ``--json``."""
    parser = cli.Parser(
        "harness.diagnose", "Measure the gradients of a student's loss terms and its teacher's errors.", EXAMPLES
    )
    parser.add_argument("study", metavar="STUDY", help="name of a study in --runs")
    parser.add_argument(
        "labels", nargs="*", metavar="LABEL", help="trainings (default: distilled references, first seed; best student)"
    )
    parser.add_argument("--batches", type=integer, default=BATCHES, metavar="N", help="training batches (%(default)s)")
    cli.add(parser, "--init-backbone", help="weights file that the students' backbones started from")
    cli.add(parser, "--data", "--device", "--plot", "--runs", "--json")
    given = parser.parse_intermixed_args(argv)
    if given.batches < 1:
        parser.error(f"--batches must be at least 1, got {given.batches}")
    names = sorted(path.parent.name for path in given.runs.glob(f"*/{FILE}"))
    if given.study not in names:
        raise unknown_name(f"study in {given.runs}:", given.study, names)
    cli.require_picture(given.plot)

    # Imported after the cheap checks: PyTorch, pandas and Matplotlib take seconds to load.
    from harness.diagnosis.study import choose, diagnose_study
    from harness.reporting.diagnosis import findings, picture, write_diagnosis

    folder = given.runs / given.study
    study = Manifest.load(folder)
    records = choose(study, load_records(folder), given.labels)
    with cli.Progress() as progress:
        found = diagnose_study(
            study,
            folder,
            records,
            count=given.batches,
            source=given.data,
            init_backbone=given.init_backbone,
            device=cli.device(given.device),
            progress=progress.stage,
        )
    found["command"] = _command(given)
    path = write_diagnosis(folder, found)
    if given.plot is not None:
        cli.write_picture(picture(found), given.plot)
    if given.json:
        cli.emit(found | {"findings": findings(found), "report": str(path)})
    else:
        cli.show(*(f"- {sentence}".replace("`", "") for sentence in findings(found)), f"report: {path}")
    return 0


def _command(given: Any) -> str:
    """Return the command that repeats this diagnosis, without paths of this machine."""
    words = ["python", "-m", "harness.diagnose", given.study, *given.labels]
    words += ["--batches", str(given.batches)] if given.batches != BATCHES else []
    for option, path in (("--data", given.data), ("--init-backbone", given.init_backbone)):
        words += [option, f"PATH/TO/{Path(path).name}"] if path is not None else []
    return shlex.join(words)


if __name__ == "__main__":
    cli.run(main)
