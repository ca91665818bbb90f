"""Several studies as one comparison: groups of trainings that differ only in seed, and pairs of groups."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harness.core.record import TrialRecord
from harness.data.truth import Mask
from harness.evaluation.attributes import Groups
from harness.evaluation.stats import Interval, Sampled, average, difference, seed_interval
from harness.reporting.lock import Protocol, differences
from harness.reporting.study.data import StudyData

TEACHER, REFERENCE, STUDENT = KINDS = ("teacher", "reference", "student")


@dataclass(frozen=True, eq=False)
class Member:
    """One training: its record, its AP on all images and on every resample, and the faces (F,) that it finds."""

    study: str
    record: TrialRecord
    ap: Sampled
    found: Mask


@dataclass(frozen=True, eq=False)
class Group:
    """Trainings that differ only in seed.

    Attributes:
        name: unique among the groups of a comparison.
        kind: one of ``KINDS``.
        taught_by: the teacher's name, empty without a teacher; ``weights``: the digest of its weights.
        training: everything else that the training depended on, as a flat dict.
        budget: parameter budget of its study.
        members: the first training first.
    """

    name: str
    kind: str
    taught_by: str
    weights: str
    training: dict[str, Any]
    budget: int
    members: tuple[Member, ...]

    @property
    def record(self) -> TrialRecord:
        """Return the record of the first training."""
        return self.members[0].record

    @property
    def studies(self) -> list[str]:
        """Return the studies of its trainings."""
        return list(dict.fromkeys(member.study for member in self.members))

    @cached_property
    def ap(self) -> Sampled:
        """The mean over the seeds."""
        return average([member.ap for member in self.members])

    def by_seed(self, level: str) -> dict[int, float]:
        """Return seed → AP."""
        return {m.record.seed: value for m in self.members if (value := m.ap.value[level]) is not None}

    def repeats(self) -> "Group | None":
        """Return the group without its first training, if there is another."""
        others = self.members[1:]
        return replace(self, name=f"{self.name} (other seeds)", members=others) if others else None


@dataclass(frozen=True, eq=False)
class Pair:
    """Two groups on the same images, ``one - other``."""

    one: Group
    other: Group

    @property
    def name(self) -> str:
        """Return the pair in words."""
        return f"{self.one.name} − {self.other.name}"

    @property
    def apart(self) -> str:
        """Return in words what else differs in the training of two students; empty where nothing does."""
        return "" if self.other.kind == TEACHER else differences(self.one.training, self.other.training)

    @cached_property
    def ap(self) -> Sampled:
        """The difference, paired over images."""
        return difference(self.one.ap, self.other.ap)

    def over_seeds(self, level: str) -> Interval | None:
        """Return the interval over seeds; None if one of the two was trained only once."""
        return seed_interval(self.one.by_seed(level), self.other.by_seed(level))


@dataclass(frozen=True, eq=False)
class Comparison:
    """All data of the report of several studies.

    Attributes:
        studies: the studies' data.
        protocol: protocol of every AP except the published ones.
        resamples: number of resamples of the images.
        groups: teachers, references without and with a teacher, the best students.
        best: study → group of its best student.
        faces: attribute → value → mask of the faces (F,) that have it.
        published: detector → its AP; ``published_protocol``: the protocol of these APs.
        remarks: sentences on networks that were left out, with the reason.
    """

    studies: list[StudyData]
    protocol: Protocol
    resamples: int
    groups: list[Group]
    best: dict[str, Group]
    faces: Groups
    published: dict[str, Sampled]
    published_protocol: Protocol
    remarks: list[str]

    @property
    def data_name(self) -> str:
        """Return the validation images in words, with their digest."""
        return self.studies[0].data_name

    @property
    def images(self) -> int:
        """Return how many validation images there are."""
        return len(self.groups[0].ap.ids)

    def of_kind(self, kind: str) -> list[Group]:
        """Return the groups of one kind, in order."""
        return [group for group in self.groups if group.kind == kind]

    def teachers_of(self, group: Group) -> list[Group]:
        """Return the network that taught ``group``; for one without a teacher, the teachers of its studies."""
        if group.kind == TEACHER:
            return []
        weights = (
            {group.weights}
            if group.weights
            else {data.study.teacher.digest for data in self.studies if data.study.name in group.studies}
        )
        return [teacher for teacher in self.of_kind(TEACHER) if teacher.weights in weights]

    @cached_property
    def pairs(self) -> list[Pair]:
        """Pairs: with and without a teacher; two trainings of a network; best student and references; and teachers."""
        return [Pair(one, other) for one, other in _pairs(self)]


def _pairs(found: Comparison) -> Iterator[tuple[Group, Group]]:
    references = found.of_kind(REFERENCE)
    taught = [group for group in references if group.taught_by]
    for one in taught:
        alone = [r for r in references if not r.taught_by and r.record.arch == one.record.arch]
        yield from ((one, other) for other in _alike(one, alone))
    for position, one in enumerate(references):
        for other in references[:position]:
            if bool(one.taught_by) == bool(other.taught_by) and one.record.arch == other.record.arch:
                yield one, other
    for data in found.studies:
        best = found.best.get(data.study.name)
        if best is None:
            continue
        rivals = [r for r in taught if r.weights == data.study.teacher.digest] or references
        repeats = best.repeats()
        for other in _alike(best, rivals):
            yield best, other
            if repeats is not None:
                yield repeats, other
    for group in found.groups:
        yield from ((group, teacher) for teacher in found.teachers_of(group))


def _alike(one: Group, others: list[Group]) -> list[Group]:
    """Return the groups that were trained like ``one``, or all of them if there is none."""
    return [other for other in others if other.training == one.training] or others
