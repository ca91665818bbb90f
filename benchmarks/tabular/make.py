"""``Maker``: everything that the table needs, from the teacher to the file."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.tabular.graded import train_graded
from benchmarks.tabular.protocol import DRAWS, drawn
from benchmarks.tabular.rows import ENDED, network, rounded
from benchmarks.tabular.trainings import Trainings, resumed
from harness.core.names import load_space
from harness.core.protocol import StudyConfig, digest
from harness.core.provenance import provenance
from harness.core.record import TrialRecord
from harness.core.table import Table
from harness.counting import SpaceCounts
from harness.data import SPLITS, load_split
from harness.evaluation.protocol import ap_protocol
from harness.models.device import device_name, precision
from harness.models.weights import file_digest
from harness.search.plan import Plan
from harness.search.progress import Progress
from harness.search.resources import Resources, check_resources
from harness.search.speeds import Stopwatch
from harness.search.storage import single_writer
from harness.search.workers import Pool
from harness.training.job import TRAINING_VERSION
from harness.training.teacher import ensure_teacher


class Maker:
    """Makes one table.

    Args:
        study: the protocol.
        runs: folder of teachers and decoded images; trainings are kept in ``tabular-DIGEST``, where the digest is that
            of all that decides their results.
        workers, threads: processes and threads of each; None: by cores.
        progress: shows what is done.
        command: the command that makes the table.

    Attributes:
        folder: where the trainings are kept.

    Raises:
        InputError: workers and threads need more cores than there are, or another process makes this table.
    """

    def __init__(
        self,
        study: StudyConfig,
        runs: Path,
        workers: int | None,
        threads: int | None,
        progress: Progress,
        command: str,
    ) -> None:
        self._progress = progress
        self._command = command
        resources = Resources(runs=runs, workers=workers, threads=threads, tracking_uri="none")
        # No training is proposed from another's result, so that any number may run at once.
        checked = check_resources(replace(study, window=study.trials), resources)
        self._count = checked.workers
        cache, space = runs / "cache", load_space(study.space)
        splits = {split: load_split(study.data, split, cache, progress.stage) for split in SPLITS}
        teacher = ensure_teacher(study, runs, threads=checked.threads, progress=progress.stage)
        self._images = {split: faces.digest for split, faces in splits.items()}
        search_protocol, protocol = (
            ap_protocol(splits[split], study.evaluation, study.data.eval_side) for split in ("search", "val")
        )
        computes = precision(checked.device, study.train.side(study.data.size))
        decides = {
            "space": space.digest(),
            "training": TRAINING_VERSION,
            "images": self._images,
            "protocols": [search_protocol["digest"], protocol["digest"]],
            "teacher": file_digest(teacher.path),
            "threads": checked.threads,
            "precision": computes,
            **{
                name: study.to_dict()[name] for name in ("budget", "data", "train", "distill", "evaluation", "seed")
            },
        }  # fmt: skip
        self.folder = runs / f"tabular-{digest(decides)}"
        self._counts = SpaceCounts(space)
        self._plan = Plan(
            config=study,
            space=space,
            folder=self.folder,
            cache=cache,
            images=(self._images["train"], self._images["search"]),
            teacher=teacher,
            search_protocol=search_protocol,
            protocol=protocol,
            start=teacher.path,
            device="cpu",
            threads=checked.threads,
            provenance=provenance(device_name(checked.device), computes),
        )
        self._networks: list[list[TrialRecord]] = []

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder's lock, and read what earlier runs left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with single_writer(self.folder):
            self._networks = [
                [resumed(record, self._plan) for record in [first, *self._plan.repeats(first)]]
                for first in self._firsts()
            ]
            for records in self._networks:
                for record in records[1:]:
                    record.configuration = records[0].configuration
            yield

    def _firsts(self) -> Iterator[TrialRecord]:
        """Yield the record of each network's first training."""
        for number, configuration in enumerate(drawn(self._counts, self._plan.config)):
            yield self._plan.candidate(number, configuration)
        for name in self._plan.config.references:
            record = next(one for one in self._plan.references() if one.label == name)
            record.configuration = self._plan.space.base_configuration()
            yield record

    @property
    def records(self) -> list[TrialRecord]:
        """The record of every training; the reference's first, then network by network."""
        return [record for records in (self._networks[-1], *self._networks[:-1]) for record in records]

    def train(self, out: Path) -> None:
        """Train what has not ended, and write the table after each training.

        Raises:
            HarnessError, OSError: the environment failed; the same call resumes.
        """
        if all(record.state in ENDED for record in self.records):
            self.write(out)
            return
        with ExitStack() as stack:
            pool = Pool(train_graded, self._count, self._plan.threads)
            stack.callback(pool.close)
            pool.ready()
            Trainings(self._plan, self.records, pool, self._progress, lambda: self.write(out)).run()

    def measure(self, out: Path) -> None:
        """Measure the speed of every network with an ended training, one after the other, and write the table."""
        stopwatch = Stopwatch(self._plan.config.speed, "cpu")
        due = [records for records in self._networks if any(r.state in ENDED for r in records) and not records[0].speed]
        for done, (first, *_) in enumerate(due):
            self._progress.stage("measuring speed", done, len(due))
            stopwatch.measure(first)
            first.save(self._plan.trial_folder(first.label))
        self._progress.stage("measuring speed", len(due), len(due))
        self.write(out)

    def table(self) -> Table:
        """Return the table of all trainings that have ended."""
        plan, fits = self._plan, self._counts.is_feasible
        networks = [network(records, fits(records[0].configuration, plan.config.budget)) for records in self._networks]
        made_by = {digest(one): one for record in self.records if record.state in ENDED for one in record.provenance}
        teacher = plan.teacher.record
        return Table(
            space=plan.space.name,
            space_digest=plan.space.digest(),
            config=plan.config,
            drawn={
                "configurations": len(networks) - len(plan.config.references),
                "seed": DRAWS,
                "feasible": self._counts.feasible(plan.config.budget),
            },
            wanted=len(self.records),
            images=self._images,
            search_protocol=plan.search_protocol,
            protocol=plan.protocol,
            teacher={
                "label": teacher.label,
                "digest": file_digest(plan.teacher.path),
                "params": teacher.params,
                "search_ap": rounded(teacher.search_ap),
                "ap": rounded(teacher.ap),
            },
            training=TRAINING_VERSION,
            threads=plan.threads,
            provenance=[made_by[key] for key in sorted(made_by)],
            command=self._command,
            complete=all(record.state in ENDED for record in self.records),
            networks=tuple(one for one in networks if one.trainings),
        )

    def write(self, out: Path) -> None:
        """Write the table."""
        self.table().save(out)
