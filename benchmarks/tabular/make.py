"""``Maker``: makes a table, from the teacher to the file."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.tabular.continued import continued, fill
from benchmarks.tabular.graded import VAL, Graded, train_graded
from benchmarks.tabular.prepared import prepare
from benchmarks.tabular.protocol import DRAWS, drawn, portable
from benchmarks.tabular.rows import ENDED, network, rounded
from benchmarks.tabular.trainings import Trainings, resumed
from harness.core.digest import digest
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord
from harness.core.table import Table
from harness.counting import SpaceCounts
from harness.models.weights import file_digest
from harness.search.progress import Progress
from harness.search.resources import Resources
from harness.search.speeds import Stopwatch
from harness.search.storage import single_writer
from harness.search.workers import Processes
from harness.training.job import TRAINING_VERSION


class Maker:
    """Makes one table.

    Args:
        study: the protocol.
        resources: where and how it trains, as for ``prepare``.
        progress: shows what is done.
        command: the command that makes the table.

    Attributes:
        folder: where the trainings are kept.

    Raises:
        InputError: as ``prepare``, or another process makes this table.
    """

    def __init__(self, study: StudyConfig, resources: Resources, progress: Progress, command: str) -> None:
        self._progress = progress
        self._command = command
        prepared = prepare(study, resources, "tabular", progress)
        self._plan, self._count, self._images = prepared.plan, prepared.workers, prepared.images
        self.folder = self._plan.folder
        self._counts = SpaceCounts(self._plan.space)
        self._networks: list[list[TrialRecord]] = []
        self._made_before: list[dict[str, Any]] = []

    @contextmanager
    def opened(self, out: Path) -> Iterator[None]:
        """Hold the folder's lock, and read what earlier runs left there and in the table's file.

        Raises:
            InputError: the file is a table with another protocol.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with single_writer(self.folder):
            self._networks = [
                [resumed(record, self._plan) for record in [first, *self._plan.repeats(first)]]
                for first in self._firsts()
            ]
            for records in self._networks:
                for record in records[1:]:
                    record.configuration = records[0].configuration
            here = replace(self.table(), provenance=[asdict(self._plan.provenance)])
            if earlier := continued(out, here):
                fill(self._networks, earlier)
                self._made_before = earlier.provenance
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
            pool = Processes(train_graded, self._count, self._plan.threads)
            stack.callback(pool.close)
            pool.ready()
            Trainings(self._plan, self.records, pool, self._job, self._progress, lambda: self.write(out)).run()

    def _job(self, record: TrialRecord) -> Graded:
        # ``grade`` would also measure landmarks, at the end only.
        job = replace(self._plan.job(record), grade=False)
        return Graded(job, tuple(info[VAL] for info in record.epochs))

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
        ended = [record for record in self.records if record.state in ENDED]
        makers = [*self._made_before, *(one for record in ended for one in record.provenance)]
        made_by = {digest(one): one for one in makers}
        teacher = plan.teacher.record
        return Table(
            space=plan.space.name,
            space_digest=plan.space.digest(),
            config=portable(plan.config),
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
