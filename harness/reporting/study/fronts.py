"""The Pareto front of a study with several objectives: its members, its knee, and its hypervolume over the trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.core.record import TrialRecord
from harness.evaluation.fronts import Points, dominated, hypervolume, knee
from harness.evaluation.objectives import limits, normalised
from harness.reporting.format import reference_point
from harness.reporting.study.data import StudyData


@dataclass(frozen=True)
class Front:
    """The students that no other student dominates.

    Attributes:
        students: number of students trained to the end with all objectives.
        members: those of the front, highest search AP first.
        knee: its knee, as ``evaluation.fronts.knee`` defines it, if there is one.
        volumes: the hypervolume after each trial: a share of the box between reference point and ideal.
    """

    students: int
    members: list[TrialRecord]
    knee: TrialRecord | None
    volumes: list[float]

    @property
    def volume(self) -> float:
        """Return the hypervolume after the last trial."""
        return self.volumes[-1]

    def to_dict(self) -> dict[str, object]:
        """Return labels and the hypervolume as plain data."""
        return {
            "members": [record.label for record in self.members],
            "knee": None if self.knee is None else self.knee.label,
            "hypervolume": self.volume,
        }


def front(data: StudyData) -> Front | None:
    """Return the front of a study; None if it has one objective, or no student with all of them."""
    known = comparable(data)
    if len(data.study.config.objectives) < 2 or not known:
        return None
    points = normalised(known, data.study.config)
    members = [record for record, behind in zip(known, dominated(points), strict=True) if not behind]
    at = knee(normalised(members, data.study.config))
    volumes = _volumes(data, dict(zip((record.label for record in known), points, strict=True)))
    return Front(len(known), members, None if at is None else members[at], volumes)


def comparable(data: StudyData) -> list[TrialRecord]:
    """Return the students trained to the end that have all objectives, highest search AP first."""
    needed = "latency" in data.study.config.objectives
    return [record for record in data.ranked if record.latency is not None or not needed]


def volume(records: Sequence[TrialRecord], data: StudyData) -> float:
    """Return the hypervolume of some students of a study, as a share of the box between reference point and ideal."""
    points = normalised(records, data.study.config)
    return hypervolume(points, np.ones(points.shape[1]))


def _volumes(data: StudyData, points: Mapping[str, Points]) -> list[float]:
    """Return the hypervolume after each trial, in the order of their numbers; ``points``: label → objectives."""
    kept = np.zeros((0, len(data.study.config.objectives)))
    found, last = [], 0.0
    for record in data.candidates():
        point = points.get(record.label)
        if point is not None and not (kept <= point).all(1).any():
            kept = np.vstack((kept[~(point <= kept).all(1)], point))
            last = hypervolume(kept, np.ones_like(point))
        found.append(last)
    return found


def reference_text(data: StudyData) -> str:
    """Return the reference point in words."""
    config = data.study.config
    return reference_point(config.objectives, limits(config))
