"""An ablation as plain data: networks that are trained alike, and the differences between them that are tested."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.arch import ArchConfig
from harness.errors import InputError

LEAST_SEEDS = 2
"""Seeds per network from which the seed variance can be measured."""


MARGIN = 0.01
"""Differences of AP below one point are not worth a further seed, and refute no claim without a number of its own."""


@dataclass(frozen=True)
class Arm:
    """One network of an ablation. ``label`` names its folder, its rows in tables and its runs."""

    label: str
    arch: ArchConfig


@dataclass(frozen=True)
class Difference:
    """The AP of the arm labelled ``a`` less that of ``b``; ``change`` says what ``a`` has and ``b`` has not."""

    a: str
    b: str
    change: str


@dataclass(frozen=True)
class Ablation:
    """Networks that are trained alike, with the same seeds, and compared.

    Attributes:
        kind: what was asked for, such as ``ladder``.
        arms: the networks.
        differences: the pairs of arms whose difference is tested.
        looks: numbers of seeds after which the differences are tested, ascending. All arms are trained with as many
            seeds as the first look has. Further seeds are for the arms of differences that are undecided then.

    Raises:
        InputError: a label occurs twice or a difference has an unknown one, or the looks are no ascending numbers.
    """

    kind: str
    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]
    looks: tuple[int, ...]

    def __post_init__(self) -> None:
        labels = [arm.label for arm in self.arms]
        double = next((label for label in labels if labels.count(label) > 1), None)
        if double is not None:
            raise InputError(f"two networks of the ablation are called '{double}'")
        strange = {label for one in self.differences for label in (one.a, one.b)} - set(labels)
        if strange:
            raise InputError(f"a difference names '{min(strange)}', which is no network of the ablation")
        if not self.looks or self.looks[0] < LEAST_SEEDS:
            raise InputError(
                f"an ablation needs at least {LEAST_SEEDS} seeds, so that it can measure the seed variance"
            )
        if list(self.looks) != sorted(set(self.looks)):
            raise InputError(f"the numbers of seeds must rise from look to look, got {self.looks}")

    def reached(self, seeds: int) -> int:
        """Return the last look that needs no more than ``seeds`` seeds, as its number of seeds; 0 before the first."""
        return max((look for look in self.looks if look <= seeds), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain data, the inverse of ``from_dict``."""
        return {
            "kind": self.kind,
            "arms": [{"label": arm.label, "arch": arm.arch.to_dict()} for arm in self.arms],
            "differences": [vars(one) for one in self.differences],
            "looks": list(self.looks),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Ablation":
        """Rebuild from ``to_dict``'s form."""
        return cls(
            data["kind"],
            tuple(Arm(arm["label"], ArchConfig.from_dict(arm["arch"])) for arm in data["arms"]),
            tuple(Difference(**one) for one in data["differences"]),
            tuple(data["looks"]),
        )
