"""``make``: measures scores one after the other, from the teacher to the file."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.scores.catalogue import CATALOGUE
from benchmarks.scores.chosen import spread
from benchmarks.scores.data import Scores
from benchmarks.scores.measured import measured
from benchmarks.scores.setting import Setting
from benchmarks.tabular.prepared import Prepared, prepare
from harness.core.protocol import StudyConfig
from harness.core.table import Network, Table
from harness.core.training import SharingConfig
from harness.errors import InputError
from harness.models.weights import file_digest
from harness.search.progress import Progress
from harness.search.resources import Resources
from harness.search.storage import single_writer
from harness.training.job import TRAINING_VERSION

TIMED, QUICK_TIMED = 3, 1
"""Candidates whose costs are measured."""


def make(
    names: Sequence[str],
    found: Scores,
    out: Path,
    *,
    table: Table,
    study: StudyConfig,
    networks: Sequence[Network],
    sharing: SharingConfig,
    resources: Resources,
    quick: bool,
    progress: Progress,
) -> Scores:
    """Measure scores, and write the file after each.

    Args:
        names: those that are measured.
        found: those that an earlier run has measured, or none.
        out: the file.
        table: gives the protocol and the digests of its images.
        study: the table's protocol, with the folder of its images on this machine.
        networks: the candidates.
        sharing: how they share weights.
        resources: where and how it trains, as for ``prepare``; trainings are kept in ``runs/scores-DIGEST``.
        quick: whether to use toy sizes.
        progress: shows what is done.

    Raises:
        InputError: as ``prepare``, or space, images or training code differ from the table's.
        HarnessError, OSError: the environment failed; the same call resumes.
    """
    if table.training != TRAINING_VERSION:
        raise InputError(
            f"the table was trained by version {table.training} of the training code, and this is {TRAINING_VERSION}: "
            "make it again"
        )
    prepared = prepare(study, replace(resources, threads=table.threads), "scores", progress)
    _check_same(table, prepared)
    # A seed of their own: a score has no chance in common with the trainings that it is compared with.
    own = replace(study, seed=study.seed + 1, sharing=sharing, pruner="none")
    plan = replace(prepared.plan, config=own)
    plan.folder.mkdir(parents=True, exist_ok=True)
    made_by = asdict(plan.provenance)
    with single_writer(plan.folder), ExitStack() as stack:
        timed = spread(networks, QUICK_TIMED if quick else TIMED)
        setting = Setting(plan, networks, timed, prepared.workers, stack, quick=quick, progress=progress)
        for name in names:
            score = measured(setting, name)
            found = replace(
                found.with_score(name, score, list(CATALOGUE)),
                full=setting.full,
                seed=setting.any_job.seed,
                teacher=file_digest(plan.teacher.path),
                provenance=[*found.provenance, *([] if made_by in found.provenance else [made_by])],
            )
            found.save(out)
            progress.line(f"{CATALOGUE[name].title}: measured for {len(score.values)} candidates")
    return found


def _check_same(table: Table, prepared: Prepared) -> None:
    if table.space_digest != prepared.plan.space.digest():
        raise InputError(f"the space '{table.space}' has changed since the table was made: make it again")
    for split in ("train", "search"):
        if table.images[split] != prepared.images[split]:
            raise InputError(
                f"the {split} images have the digest {prepared.images[split]}, those of the table "
                f"{table.images[split]}: give the table's images, or make it again"
            )
