"""``python -m harness.diagnose STUDY [LABEL …]``: why distillation does or does not help a student."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import cli
from harness.core.arch import ArchConfig
from harness.core.protocol import DataConfig, DistillConfig, EvalConfig, TrainConfig
from harness.core.record import TrialRecord
from harness.errors import DataError, InputError, unknown_name

if TYPE_CHECKING:
    from harness.reporting.study.data import StudyData
    from harness.training.loop import Job

BATCHES = 32
NO_START = "`{}`, start: not measured, because the backbone that it began with was not found: give --init-backbone."

EXAMPLES = """examples:
  python -m harness.diagnose widerface_mini                     the distilled references and the best student
  python -m harness.diagnose widerface_mini v2 v2-alone 0004    these trainings
  python -m harness.diagnose widerface_mini --init-backbone BACKBONE.safetensors --batches 64

For each student: the gradient of every loss term, at the start and at the end of training, its share and its cosine to
the ground truth's; and how right teacher and student are on the same training batches. Everything goes to
runs/STUDY/diagnosis/: diagnosis.md, gradients.png, diagnosis.json."""


def main(argv: Sequence[str] | None = None) -> int:
    """Diagnose the students and print what follows, or one JSON object with ``--json``."""
    parser = cli.Parser("harness.diagnose", "Say what a teacher's loss terms do to a student.", EXAMPLES)
    parser.add_argument("study", metavar="STUDY", help="name of a study in runs/")
    parser.add_argument(
        "labels", nargs="*", metavar="LABEL", help="trainings (default: distilled references, first seed; best student)"
    )
    parser.add_argument("--batches", type=int, default=BATCHES, metavar="N", help="training batches (%(default)s)")
    parser.add_argument("--data", metavar="PATH", help="the study's images, where they lie elsewhere now")
    parser.add_argument("--init-backbone", type=Path, metavar="PATH", help="what students began with, if not found")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw the picture into FILE")
    parser.add_argument("--runs", type=Path, default=cli.RUNS, metavar="DIR", help="where studies are (runs)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")
    given = parser.parse_intermixed_args(argv)
    if given.batches < 1:
        parser.error(f"--batches must be at least 1, got {given.batches}")
    if given.plot is not None and given.plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        parser.error(f"--plot must end in .png, .svg or .pdf, got {given.plot}")

    # What was refused so far costs nothing; pandas and Matplotlib take seconds to load.
    from harness.reporting.diagnosis import findings, picture, write_diagnosis
    from harness.reporting.study.data import find_study, load
    from harness.reporting.style import save

    data = load(find_study(given.study, given.runs))
    found = _measure(data, given)
    path = write_diagnosis(data.folder, found)
    if given.plot is not None:
        given.plot.parent.mkdir(parents=True, exist_ok=True)
        save(picture(found), given.plot)
    if given.json:
        cli.emit(found | {"findings": findings(found), "report": str(path)})
        return 0
    for sentence in findings(found):
        print(f"- {sentence}".replace("`", ""))
    print(f"report: {path}")
    return 0


def _measure(data: "StudyData", given: Any) -> dict[str, Any]:
    from harness.data import load_split
    from harness.diagnosis.measure import EPOCH, SEED, diagnose
    from harness.search.progress import make_progress

    teacher = data.teacher
    if teacher is None:
        raise DataError(f"{data.folder / 'trials'} holds no teacher; the same study command puts it there")
    records = choose(data, given.labels)
    weights = data.folder / "trials" / teacher.label / "weights.safetensors"
    known, start = find_start(data.study, weights, given.init_backbone)
    jobs = [make_job(record, data, given.data, teacher, weights, start) for record in records]
    students: dict[str, Any] = {}
    with make_progress() as progress:
        images = load_split(jobs[0].data, "train", jobs[0].cache, progress.stage)
        if images.digest != data.study["data"]["train_digest"]:
            raise InputError(f"{jobs[0].data.source} does not hold the images that {given.study} was trained on")
        for job in jobs:

            def on_batch(done: int, total: int, what: str = f"{job.label}: batches") -> None:
                progress.stage(what, done, total)

            students[job.label] = diagnose(job, given.batches, start=known, on_batch=on_batch)
            students[job.label]["notes"] += [] if known else [NO_START.format(job.label)]
    return {
        "study": given.study,
        "command": _command(given),
        "data": data.data_name,
        "teacher": {"label": teacher.label, "params": teacher.params},
        "seed": SEED,
        "epoch": EPOCH,
        "students": students,
    }


def choose(data: "StudyData", labels: Sequence[str]) -> list[TrialRecord]:
    """Return the records of ``labels``; of none, the distilled references (first seeds) and the best student.

    Raises:
        InputError: a label is unknown or not trained to its end, or there is nothing to diagnose yet.
    """
    able = {r.label: r for r in data.records if r.role != "teacher" and r.state == "complete"}
    for label in labels:
        if label not in able:
            raise unknown_name(f"student trained to its end in {data.study['name']}:", label, able)
    if labels:
        return [able[label] for label in dict.fromkeys(labels)]
    chosen = [r for r in able.values() if r.role == "reference" and r.distill and not r.repeat_of]
    chosen += [data.best] if data.best is not None else []
    if not chosen:
        raise InputError(f"{data.study['name']} has no distilled reference and no candidate trained to its end yet")
    return chosen


def find_start(study: dict[str, Any], teacher: Path, given: Path | None) -> tuple[bool, Path | None]:
    """Return whether it is known what the students' backbones began with, and that file; None is random numbers.

    It is the file ``given``, the teacher's weights or what the study's own command names, whichever has the digest
    that the study recorded.

    Raises:
        InputError: the file that was given is not the one.
    """
    from harness.models.weights import file_digest

    other = re.search(r"backbone from (\w+)", study["identity"]["teacher weights"])
    wanted = None if study["config"]["from_scratch"] else other[1] if other else study["teacher"]["digest"]
    words = shlex.split(study["command"].replace("--init-backbone=", "--init-backbone "))
    named = [Path(path) for option, path in pairwise(words) if option == "--init-backbone"]
    for path in [given] if given is not None else [teacher, *named]:
        if path.is_file() and file_digest(path) == wanted:
            return True, path
    if given is not None:
        began = "random numbers" if wanted is None else f"a file of digest {wanted}"
        raise InputError(f"--init-backbone {given}: the students of {study['name']} began with {began}")
    return wanted is None, None


def make_job(
    record: TrialRecord, data: "StudyData", source: str | None, teacher: TrialRecord, weights: Path, start: Path | None
) -> "Job":
    """Return what trained the record's network; where that had no teacher, T and the threshold are the study's."""
    from harness.training.loop import Job

    config = data.study["config"]
    images = DataConfig(**config["data"])
    alone = replace(DistillConfig(**config["distill"]), alpha=0.0, feature_weight=0.0)
    return Job(
        label=record.label,
        arch=ArchConfig.from_dict(record.arch),
        seed=record.seed,
        train=TrainConfig(**config["train"]),
        data=images if source is None else replace(images, source=source),
        evaluation=EvalConfig(**config["evaluation"]),
        folder=data.folder / "trials" / record.label,
        cache=data.folder.parent / "cache",
        distill=DistillConfig(**record.distill) if record.distill else alone,
        teacher=weights,
        teacher_arch=ArchConfig.from_dict(teacher.arch),
        init_backbone=start,
    )


def _command(given: Any) -> str:
    """Return how this diagnosis is made again, without this machine's folders."""
    words = ["python", "-m", "harness.diagnose", given.study, *given.labels]
    words += ["--batches", str(given.batches)] if given.batches != BATCHES else []
    for option, path in (("--data", given.data), ("--init-backbone", given.init_backbone)):
        words += [option, f"PATH/TO/{Path(path).name}"] if path is not None else []
    return shlex.join(words)


if __name__ == "__main__":
    cli.run(main)
