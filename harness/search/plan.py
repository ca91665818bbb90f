"""``Plan``: what is settled before the first candidate trains, and how a record and a job follow from it."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.arch import ArchConfig
from harness.builder import resolve_arch
from harness.counting import count_parts, macs
from harness.engine import Job
from harness.protocol import DistillConfig, StudyConfig
from harness.record import TrialRecord
from harness.search.samplers import derive_seed
from harness.space import Configuration, SearchSpace
from harness.teacher import Teacher


def label(number: int) -> str:
    """Return the label of trial ``number``: four digits."""
    return f"{number:04d}"


@dataclass(frozen=True)
class Plan:
    """A study that is ready to train.

    Attributes:
        folder: ``runs/<study>``.
        cache: where decoded images lie.
        protocol: what every AP of this study was measured by.
        device, threads: of each training.
    """

    config: StudyConfig
    space: SearchSpace
    folder: Path
    cache: Path
    teacher: Teacher
    protocol: dict[str, Any]
    device: str
    threads: int

    def trial_folder(self, name: str) -> Path:
        """Return the folder of the trial labelled ``name``."""
        return self.folder / "trials" / name

    def candidate(self, number: int, configuration: Configuration) -> TrialRecord:
        """Return the record of a candidate that is about to start."""
        distill = replace(self.config.distill, **self.space.distill(configuration))
        record = self._record(label(number), "candidate", self.space.arch(configuration), distill)
        record.number, record.configuration = number, dict(configuration)
        record.seed = derive_seed(self.config.seed, number, "train")
        return record

    def reference(self, name: str) -> TrialRecord:
        """Return the record of a named architecture, trained as the candidates are."""
        record = self._record(name, "reference", resolve_arch(name), self.config.distill)
        record.seed = derive_seed(self.config.seed, name)
        return record

    def _record(self, name: str, role: str, arch: ArchConfig, distill: DistillConfig) -> TrialRecord:
        side = self.config.speed.size
        parts = count_parts(arch)
        return TrialRecord(
            label=name,
            role=role,
            arch=arch.to_dict(),
            distill=asdict(distill) if distill.uses_teacher else {},
            params=sum(parts.values()),
            parts=parts,
            macs=sum(macs(arch, side, side).values()),
            protocol=self.protocol,
        )

    def job(self, record: TrialRecord) -> Job:
        """Return what a worker needs to train a record's network."""
        return Job(
            label=record.label,
            arch=ArchConfig.from_dict(record.arch),
            seed=record.seed,
            train=self.config.train,
            data=self.config.data,
            evaluation=self.config.evaluation,
            folder=self.trial_folder(record.label),
            cache=self.cache,
            distill=DistillConfig(**record.distill) if record.distill else None,
            teacher=self.teacher.path,
            teacher_arch=self.teacher.arch,
            init_backbone=None if self.config.from_scratch else self.teacher.path,
            device=self.device,
            threads=self.threads,
        )
