"""What an ablation will train, before anything starts: which trainings exist already, and how long the others take."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.core.ablation import Ablation
from harness.core.arch import ARCHS, ArchConfig
from harness.core.names import load_space
from harness.core.protocol import StudyConfig
from harness.core.provenance import Provenance
from harness.data import count_training_images, load_split
from harness.models.costs import count, macs
from harness.search.plan import Plan
from harness.search.resources import Checked, Resources, check_resources
from harness.training.estimate import training_seconds
from harness.training.reuse import Finished, fingerprint
from harness.training.teacher import TRAINED, Teacher, foresee_teacher


@dataclass(frozen=True)
class Planned:
    """One network of an ablation.

    Attributes:
        label: its label; ``params``: its parameters; ``macs``: its MACs at the study's speed size.
        seeds: number of its trainings that the first look needs; ``known``: how many of them are finished in ``runs/``.
        seconds: expected time of one training.
    """

    label: str
    params: int
    macs: int
    seeds: int
    known: int
    seconds: float


@dataclass(frozen=True)
class Outlook:
    """What an ablation will train.

    Attributes:
        arms: its networks.
        teacher_seconds: expected time of the teacher's training; 0 if that is finished or the weights are given.
        workers: number of trainings at once.
        most: number of trainings if every network gets the most seeds.
    """

    arms: list[Planned]
    teacher_seconds: float
    workers: int
    most: int

    @property
    def trainings(self) -> int:
        """Return the number of trainings that the first look needs."""
        return sum(arm.seeds for arm in self.arms)

    @property
    def known(self) -> int:
        """Return how many of them are finished and only read."""
        return sum(arm.known for arm in self.arms)

    @property
    def hours(self) -> float:
        """Return the expected hours until the first look."""
        seconds = sum((arm.seeds - arm.known) * arm.seconds for arm in self.arms)
        return (self.teacher_seconds + seconds / self.workers) / 3600

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "arms": [vars(arm) for arm in self.arms],
            "trainings": self.trainings,
            "known": self.known,
            "most_trainings": self.most,
            "workers": self.workers,
            "hours": round(self.hours, 5),
        }


def outlook(config: StudyConfig, ablation: Ablation, resources: Resources) -> Outlook:
    """Return what an ablation will train. Nothing is started and nothing is written.

    Raises:
        InputError: something given is wrong.
    """
    checked = check_resources(config, resources)
    teacher, trained = foresee_teacher(
        config, resources.runs, resources.teacher, resources.init_backbone, resources.device, checked.threads
    )
    known = set() if teacher is None else set(_finished(config, ablation, resources, checked, teacher))
    images, side = count_training_images(config.data), config.speed.size

    def timed(arch: ArchConfig, schedule: str = "train") -> float:
        return training_seconds(arch, getattr(config, schedule), config.data, images, resources.device, checked.threads)

    costs = {name: _macs(ARCHS[name], side) for name in ("v1", "v2")}
    times = {name: timed(ARCHS[name]) for name in costs}
    slope = (times["v1"] - times["v2"]) / (costs["v1"] - costs["v2"])
    return Outlook(
        [
            Planned(
                arm.label,
                count(arm.arch),
                multiply := _macs(arm.arch, side),
                ablation.looks[0],
                sum(label == arm.label for label, _ in known),
                max(times["v2"] + slope * (multiply - costs["v2"]), 0.0),
            )
            for arm in ablation.arms
        ],
        timed(ARCHS[TRAINED], "teacher") if trained else 0.0,
        checked.workers,
        ablation.looks[-1] * len(ablation.arms),
    )


def _macs(arch: ArchConfig, side: int) -> int:
    return sum(macs(arch, side, side).values())


def _finished(
    config: StudyConfig, ablation: Ablation, resources: Resources, checked: Checked, teacher: Teacher
) -> Iterator[tuple[str, int]]:
    """Yield label and number of the trainings that the first look needs and that ``runs/`` has."""
    cache = resources.runs / "cache"
    plan = Plan(
        config=config,
        space=load_space(config.space),
        folder=resources.runs / config.name,
        cache=cache,
        images=(load_split(config.data, "train", cache).digest, load_split(config.data, "search", cache).digest),
        teacher=teacher,
        search_protocol={},
        protocol={},
        start=checked.weights(teacher.path, resources),
        device=resources.device,
        threads=checked.threads,
        provenance=Provenance(),
    )
    finished = Finished(resources.runs)
    for record in plan.arms({arm.label: ablation.looks[0] for arm in ablation.arms}):
        if fingerprint(plan.job(record), plan.images) in finished:
            yield record.repeat_of or record.label, record.training_number
