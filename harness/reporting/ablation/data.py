"""Reads an ablation: the trainings of its networks, which must be alike, and the estimates of its differences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from harness.core.ablation import Ablation, Arm, Difference
from harness.core.arms import EXCHANGED
from harness.core.record import TrialRecord, in_order
from harness.counting.combinations import Chosen, buildable, coefficients, orders
from harness.errors import InputError
from harness.evaluation.contrasts import BETTER, Blocks, Estimate, blocks, estimate, verdicts
from harness.evaluation.stats import RESAMPLES, Sampled, combine
from harness.reporting.compare.data import Comparison, Member
from harness.reporting.compare.read import compare, training
from harness.reporting.lock import differences
from harness.reporting.study.data import StudyData
from harness.reporting.study.data import load as load_study

Report = Callable[[str, int, int], None]
"""Called with a description, the amount done and the total."""


def _quietly(*_: object) -> None:
    pass


@dataclass(frozen=True, eq=False)
class Measured:
    """An estimated difference of mean validation AP.

    Attributes:
        estimate: its value, errors and p-value.
        ap: the same difference by list, with its resamples over images.
        verdict: ``better``, ``worse`` or ``tie``, corrected for the number of differences beside it.
    """

    estimate: Estimate
    ap: Sampled
    verdict: str


@dataclass(frozen=True, eq=False)
class AblationData:
    """An ablation's study and its trainings.

    Attributes:
        study: the study's data.
        ablation: its networks and differences.
        found: the study as a comparison, with the resamples of every graded training.
        members: label → its trainings in the order of their seeds, up to the first that is not complete.
    """

    study: StudyData
    ablation: Ablation
    found: Comparison
    members: Mapping[str, Sequence[Member]]

    @property
    def wanted(self) -> int:
        """The number of trainings that the first look needs."""
        return self.ablation.looks[0] * len(self.ablation.arms)

    @property
    def trainings(self) -> int:
        """The number of trainings that are complete."""
        return sum(len(members) for members in self.members.values())

    def record(self, label: str) -> TrialRecord | None:
        """Return the record of a network's first training, if it is there."""
        return self.study.named(label)

    @cached_property
    def aps(self) -> dict[str, list[float]]:
        """Network → its mean validation APs, one per seed."""
        return {label: [m.ap.value["mean"] or 0.0 for m in members] for label, members in self.members.items()}

    @cached_property
    def latencies(self) -> dict[str, list[float]]:
        """Network → its measured latencies as multiples of V1's, one per training."""
        return {
            label: [1 / m.record.speed["ratio_to_v1"] for m in members if m.record.speed]
            for label, members in self.members.items()
        }

    @property
    def noise(self) -> Blocks | None:
        """The deviation of validation AP between seeds, pooled; None before two networks have all their first seeds."""
        return self._noise(self.aps)

    def _noise(self, values: Mapping[str, Sequence[float]]) -> Blocks | None:
        first = self.ablation.looks[0]
        return blocks([one[:first] for one in values.values() if len(one) >= first])

    def seeds(self, labels: Sequence[str]) -> int:
        """Return the number of seeds with which all of these networks are compared; 0 before they have their first."""
        return self.ablation.reached(min(len(self.members[label]) for label in labels))

    def estimated(self, factors: Mapping[str, float]) -> tuple[Estimate, Sampled] | None:
        """Return a combination of networks' validation APs, over seeds and over images.

        Args:
            factors: label → factor; they add up to 0.

        Returns:
            None if some of the networks do not have all their first seeds yet.
        """
        seeds, noise = self.seeds(list(factors)), self.noise
        if not seeds or noise is None:
            return None
        ap = combine(
            [member.ap for label in factors for member in self.members[label][:seeds]],
            [factor / seeds for factor in factors.values() for _ in range(seeds)],
        )
        error = float(np.nanstd(ap.draws["mean"], ddof=1))
        looks = len(self.ablation.looks)
        return estimate(factors, self.aps, seeds, noise, image_error=error, looks=looks), ap

    def tested(self, wanted: Mapping[str, Mapping[str, float]]) -> dict[str, Measured]:
        """Return name → measured difference for those that can be estimated, with verdicts corrected for their number.

        Args:
            wanted: name → label → factor.
        """
        found = {name: one for name, factors in wanted.items() if (one := self.estimated(factors)) is not None}
        said = verdicts([one for one, _ in found.values()])
        return {name: Measured(*one, verdict) for (name, one), verdict in zip(found.items(), said, strict=True)}

    @cached_property
    def differences(self) -> list[tuple[Difference, Measured]]:
        """The ablation's differences that can be estimated, corrected together."""
        by_name = {f"{one.a} {one.b}": one for one in self.ablation.differences}
        found = self.tested({name: {one.a: 1.0, one.b: -1.0} for name, one in by_name.items()})
        return [(by_name[name], measured) for name, measured in found.items()]

    @cached_property
    def combinations(self) -> dict[Chosen, str]:
        """Combination of V1's and V2's parts → label of the network that is trained for it."""
        labels = {arm.arch: arm.label for arm in self.ablation.arms}
        return {parts: labels[arch] for parts, arch in buildable().items() if arch in labels}

    def factors(self, complete: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
        """Return part → label → its factor in the part's Shapley value, from the networks that have enough values.

        Empty if these networks form no order of exchanges from V1 to V2.
        """
        first = self.ablation.looks[0]
        known = {parts: label for parts, label in self.combinations.items() if len(complete[label]) >= first}
        return {
            part: {known[parts]: float(factor) for parts, factor in factors.items() if factor}
            for part, factors in coefficients(known).items()
        }

    @property
    def orders(self) -> int:
        """The number of orders of exchanges that the trained networks form."""
        first = self.ablation.looks[0]
        return len(orders([c for c, label in self.combinations.items() if len(self.members[label]) >= first]))

    @cached_property
    def parts(self) -> dict[str, Measured]:
        """Part → Shapley value of the validation AP, corrected together; empty if it cannot be estimated."""
        found = self.tested(self.factors(self.aps))
        return {part: found[part] for part in EXCHANGED if part in found}

    @cached_property
    def latency_parts(self) -> dict[str, Estimate]:
        """Part → Shapley value of the measured latency, as a multiple of V1's; empty if it cannot be estimated."""
        noise, found = self._noise(self.latencies), self.factors(self.latencies)
        if noise is None:
            return {}
        first = self.ablation.looks[0]
        return {part: estimate(factors, self.latencies, first, noise) for part, factors in found.items()}

    @cached_property
    def highest(self) -> tuple[str, list[str]] | None:
        """The network with the highest AP, and those that are not shown to be worse; None before two can be compared.

        All pairs of networks are corrected together, because the highest one is chosen by its AP.
        """
        first = self.ablation.looks[0]
        means = {label: fmean(aps) for label, aps in self.aps.items() if len(aps) >= first}
        if len(means) < 2:
            return None
        top, *others = sorted(means, key=lambda label: -means[label])
        pairs = self.tested({f"{a} {b}": {a: 1.0, b: -1.0} for a, b in combinations((top, *others), 2)})
        return top, [label for label in others if pairs[f"{top} {label}"].verdict != BETTER]


def load(folder: Path, progress: Report = _quietly) -> AblationData:
    """Read an ablation's folder and resample its APs.

    Raises:
        InputError: its networks were not trained alike; the message says what differs.
        DataError: a file is missing or broken.
    """
    data = load_study(folder)
    ablation = data.study.config.ablation
    if ablation is None:
        raise InputError(f"study '{data.study.name}' is no ablation")
    check_alike(data, ablation.arms)
    found = compare([data], folder.parent, None, {}, RESAMPLES, progress)
    by_label = {member.record.label: member for group in found.groups for member in group.members}
    members = {
        arm.label: [by_label[record.label] for record in in_order(data.records, arm.label) if record.label in by_label]
        for arm in ablation.arms
    }
    return AblationData(data, ablation, found, members)


def check_alike(data: StudyData, arms: Sequence[Arm]) -> None:
    """Refuse networks that were not trained with the same images, schedule, augmentation, teacher, start and seeds.

    Raises:
        InputError: names two trainings and what differs.
    """
    first: dict[int, tuple[str, dict[str, Any]]] = {}
    labels = {arm.label for arm in arms}
    for label, apart in data.foreign.items():
        raise InputError(f"{data.study.name}/{label} was evaluated by another protocol than the study: {apart}")
    for record in data.records:
        if (record.repeat_of or record.label) not in labels or record.state != "complete":
            continue
        trained = {
            **training(data, record.train),
            **{f"distill.{name}": value for name, value in record.distill.items()},
            "teacher": record.teacher.get("digest", "none"),
        }
        # What all trainings share is compared with the first one, the seed with the first one of the same number.
        for number, alike in ((0, trained), (record.training_number, trained | {"seed": record.seed})):
            label, other = first.setdefault(number, (record.label, alike))
            apart = differences(alike, other)
            if apart:
                raise InputError(
                    f"{data.study.name}: {record.label} and {label} were not trained alike, so that they cannot be "
                    f"compared: {apart}"
                )
