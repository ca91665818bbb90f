"""``Plan``: the fixed settings of a study, from which the records and jobs of its trainings are made."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.core.arch import ArchConfig, in_stages
from harness.core.protocol import ALONE, INHERITED, StudyConfig
from harness.core.provenance import Provenance
from harness.core.record import TrialRecord
from harness.core.scores import SHARED, Scored
from harness.core.space import Configuration, SearchSpace
from harness.core.training import DistillConfig, TrainConfig
from harness.models.builder import resolve_arch
from harness.models.costs import count_parts, macs
from harness.models.latency import LatencyTable
from harness.models.weights import file_digest
from harness.search.samplers import derive_seed
from harness.training.job import WEIGHTS, Job, job_of
from harness.training.look import LookJob
from harness.training.score import ScoreJob
from harness.training.sharing import SharedJob
from harness.training.teacher import Teacher

INITIAL = "initial.safetensors"
"""File of the slices that a network's trainings start from, in the folder of its first training."""

LISTED = "shortlist"
"""Folder of the trainings of the short list, in a study's folder."""


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

    def scored(self, scored: Scored) -> TrialRecord:
        """Return the record of a candidate with its score as search AP."""
        record = self.candidate(scored.number, scored.configuration)
        record.search_ap = scored.ap
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

    def arms(self, seeds: Mapping[str, int]) -> Iterator[TrialRecord]:
        """Yield the records of an ablation's networks, each with all its seeds.

        Args:
            seeds: label → number of seeds.
        """
        for arm in self.config.ablation.arms if self.config.ablation else ():
            record = self._record(arm.label, "reference", arm.arch, self.config.train, self.config.distill)
            record.seed = self._seed(1)
            yield record
            yield from self.repeats(record, seeds[arm.label])

    def inheriting(self, scored: Iterable[Scored]) -> Iterator[TrialRecord]:
        """Yield the records of the networks that are trained to the end from their slices of the shared weights.

        They are the candidates that were scored best, and the references with a teacher, so that what inheriting
        weights gains is not credited to a candidate's design. References outside the space have no slices.
        """
        for name in self.config.references:
            if name.endswith(ALONE) or (arch := self._shared(resolve_arch(name))) is None:
                continue
            record = self._record(f"{name}{INHERITED}", "reference", arch, self.config.train, self.config.distill)
            record.seed, record.inherits = self._seed(1), True
            yield record
            yield from self.repeats(record)
        for one in scored:
            record = self.candidate(one.number, one.configuration)
            record.inherits = True
            yield record

    def _shared(self, arch: ArchConfig) -> ArchConfig | None:
        """Return a network as the space describes it, whatever its budget; None if the space does not hold it."""
        known = {
            slot: {self.space.arch(chosen).parts()[slot] for chosen in self.space.group_configurations(slot)}
            for slot in arch.parts()
        }
        described = (arch, in_stages(arch))
        return next((one for one in described if all(part in known[slot] for slot, part in one.parts().items())), None)

    @property
    def shared(self) -> SharedJob:
        """The training of the shared weights.

        Raises:
            ValueError: the study has none.
        """
        sharing = self.config.sharing
        if sharing is None:
            raise ValueError(f"study {self.config.name} has no shared weights")
        job = Job(
            label="shared weights",
            arch=self.space.base,
            seed=self._seed(1),
            train=sharing.train,
            data=self.config.data,
            evaluation=self.config.evaluation,
            folder=self.folder / SHARED,
            cache=self.cache,
            distill=replace(self.config.distill, feature_weight=0.0),
            teacher=self.teacher.path,
            teacher_arch=self.teacher.arch,
            init_backbone=self.start,
            device=self.device,
            threads=self.threads,
        )
        return SharedJob(job, self.space, self.config.budget, sharing)

    def scoring(self, name: str, arch: ArchConfig, keep: Path | None = None) -> ScoreJob:
        """Return what a worker needs to score a network, or to ``keep`` its slices in a file instead."""
        return ScoreJob(name, arch, self.shared, self.folder / SHARED / WEIGHTS, keep)

    def look(self, number: int, configuration: Configuration) -> LookJob:
        """Return what a worker needs to train a candidate of the short list for one epoch."""
        record = self.candidate(number, configuration)
        record.train |= {"epochs": 1, "evaluate_every": 1}
        folder = self.folder / LISTED / record.label
        job = replace(self.job(record), folder=folder, initial=folder / INITIAL)
        return LookJob(self.scoring(record.label, job.arch, keep=folder / INITIAL), job)

    def repeats(self, record: TrialRecord, seeds: int | None = None) -> Iterator[TrialRecord]:
        """Yield the records of a network's further trainings, up to a number of seeds, the study's by default."""
        for number in range(2, (seeds or self.config.seeds) + 1):
            yield replace(
                self._record(
                    f"{record.label}-s{number}",
                    "repeat" if record.role == "candidate" else record.role,
                    ArchConfig.from_dict(record.arch),
                    TrainConfig(**record.train),
                    DistillConfig(**record.distill) if record.distill else DistillConfig(alpha=0.0),
                ),
                repeat_of=record.label,
                inherits=record.inherits,
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
            initial=self.trial_folder(record.repeat_of or record.label) / INITIAL if record.inherits else None,
            folder=self.trial_folder(record.label),
            cache=self.cache,
            device=self.device,
            threads=self.threads,
        )
