"""``Plan``: the fixed settings of a study, from which the records and jobs of its trainings are made."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.arch import ArchConfig
from harness.core.protocol import ALONE, DistillConfig, StudyConfig, TrainConfig
from harness.core.provenance import Provenance
from harness.core.record import TrialRecord
from harness.core.space import Configuration, SearchSpace
from harness.models.builder import resolve_arch
from harness.models.costs import count_parts, macs
from harness.models.latency import LatencyTable
from harness.models.weights import file_digest
from harness.search.samplers import derive_seed
from harness.training.job import Job, job_of
from harness.training.teacher import Teacher


def label(number: int) -> str:
    """Return the label of trial ``number``: four digits."""
    return f"{number:04d}"


@dataclass(frozen=True)
class Plan:
    """A study that is ready to train.

    Attributes:
        folder: ``runs/<study>``.
        cache: folder of decoded images; ``images``: digests of the training images and of the search split.
        search_protocol, protocol: protocols of the APs on the search split and on the validation images.
        start: trained backbone weights that every student starts from; None: random weights.
        device, threads: device and threads per training.
        provenance: provenance of everything that this run trains.
        latencies: latencies of the space's parts; None where no latency is predicted.
    """

    config: StudyConfig
    space: SearchSpace
    folder: Path
    cache: Path
    images: tuple[str, str]
    teacher: Teacher
    search_protocol: dict[str, Any]
    protocol: dict[str, Any]
    start: Path | None
    device: str
    threads: int
    provenance: Provenance
    latencies: LatencyTable | None = None

    def trial_folder(self, name: str) -> Path:
        """Return the folder of the trial labelled ``name``."""
        return self.folder / "trials" / name

    def latency(self, arch: ArchConfig) -> float | None:
        """Return a network's predicted latency as a multiple of V1's; None if the study predicts none."""
        return None if self.latencies is None else self.latencies.ratio(arch)

    def candidate(self, number: int, configuration: Configuration) -> TrialRecord:
        """Return the record of a candidate that is about to start."""
        train = replace(self.config.train, **self.space.train(configuration))
        distill = replace(self.config.distill, **self.space.distill(configuration))
        record = self._record(label(number), "candidate", self.space.arch(configuration), train, distill)
        record.number, record.configuration = number, dict(configuration)
        record.seed = self._seed(1)
        return record

    def references(self) -> Iterator[TrialRecord]:
        """Yield the records of the references, trained like the candidates, each with all its seeds."""
        for name in self.config.references:
            arch = name.removesuffix(ALONE)
            distill = replace(self.config.distill, alpha=0.0, feature_weight=0.0) if arch != name else None
            record = self._record(
                name, "reference", resolve_arch(arch), self.config.train, distill or self.config.distill
            )
            record.seed = self._seed(1)
            yield record
            yield from self.repeats(record)

    def repeats(self, record: TrialRecord) -> Iterator[TrialRecord]:
        """Yield the records of a network's further trainings."""
        for number in range(2, self.config.seeds + 1):
            yield replace(
                self._record(
                    f"{record.label}-s{number}",
                    "repeat" if record.role == "candidate" else record.role,
                    ArchConfig.from_dict(record.arch),
                    TrainConfig(**record.train),
                    DistillConfig(**record.distill) if record.distill else DistillConfig(alpha=0.0),
                ),
                repeat_of=record.label,
                seed=self._seed(number),
            )

    def _seed(self, number: int) -> int:
        """Return the seed of the ``number``-th training of every network, from 1.

        All networks of a study have the same seeds (common random numbers): their trainings see the same batches in the
        same order and start from the same weights where their layers agree, so that a difference between two networks
        has less noise than with seeds of their own.
        """
        return derive_seed(self.config.seed, "train", number)

    def _record(
        self, name: str, role: str, arch: ArchConfig, train: TrainConfig, distill: DistillConfig
    ) -> TrialRecord:
        side = self.config.speed.size
        parts = count_parts(arch)
        return TrialRecord(
            label=name,
            role=role,
            arch=arch.to_dict(),
            train=asdict(train),
            distill=asdict(distill) if distill.uses_teacher else {},
            teacher=self._taught_by if distill.uses_teacher else {},
            params=sum(parts.values()),
            parts=parts,
            macs=sum(macs(arch, side, side).values()),
            latency=self.latency(arch),
            search_protocol=self.search_protocol,
            protocol=self.protocol,
        )

    @cached_property
    def _taught_by(self) -> dict[str, Any]:
        record = self.teacher.record
        return {"label": record.label, "digest": file_digest(self.teacher.path), "params": record.params}

    def job(self, record: TrialRecord) -> Job:
        """Return what a worker needs to train a record's network."""
        return job_of(
            record,
            data=self.config.data,
            evaluation=self.config.evaluation,
            teacher=self.teacher.path,
            teacher_arch=self.teacher.arch,
            start=self.start,
            folder=self.trial_folder(record.label),
            cache=self.cache,
            device=self.device,
            threads=self.threads,
        )
