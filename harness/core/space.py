"""A search space as data: axes with conditions over a base architecture, independent of any sampler.

An axis is named by a dotted path: ``attention.reduction`` sets the option ``reduction`` of the slot ``attention``,
``attention.name`` chooses the slot's part, ``train.lr`` sets a field of ``TrainConfig``, ``distill.temperature`` one of
``DistillConfig``. Everything that no axis sets is taken from the base architecture and from the study.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from harness.core.arch import SLOTS, ArchConfig, OptionValue, Part
from harness.core.training import DistillConfig, TrainConfig
from harness.errors import InputError, unknown_name

Configuration = dict[str, OptionValue]
"""Axis name → value, for exactly the axes that are active."""

_FIXED = ("epochs", "evaluate_every", "patience")
"""Fields of ``TrainConfig`` that are no axes: trials of a study have the same length, so that they can be compared."""

RECIPE = {
    "train": {field.name: field.type for field in fields(TrainConfig) if field.name not in _FIXED},
    "distill": {field.name: field.type for field in fields(DistillConfig)},
}
"""Groups of axes that change how a network is trained, and not what is built: group → option → type."""

GROUPS = (*SLOTS, *RECIPE)
"""All groups of axes."""


@dataclass(frozen=True)
class When:
    """A condition: the axis is active only where ``axis`` of the same group has one of ``values``."""

    axis: str
    values: tuple[OptionValue, ...]


def _check_axis(name: str, when: When | None) -> None:
    group, _, option = name.partition(".")
    if not option or group not in GROUPS:
        raise InputError(f"axis '{name}' must be GROUP.OPTION with GROUP one of {', '.join(GROUPS)}")
    if group in RECIPE and option not in RECIPE[group]:
        raise unknown_name(f"axis of {group}", option, RECIPE[group])
    if when is not None and when.axis.partition(".")[0] != group:
        raise InputError(f"axis '{name}' may only depend on an axis of '{group}', not on '{when.axis}'")


def _fields(configuration: Mapping[str, OptionValue], group: str) -> dict[str, Any]:
    """Return the values of one group's options; a whole number stands for the float that the option is."""
    kinds = RECIPE[group]
    chosen = {key.partition(".")[2]: value for key, value in configuration.items() if key.startswith(f"{group}.")}
    return {option: float(value) if kinds[option] is float else value for option, value in chosen.items()}


@dataclass(frozen=True)
class Choice:
    """An unordered axis over ``values``."""

    name: str
    values: tuple[OptionValue, ...]
    when: When | None = None

    def __post_init__(self) -> None:
        _check_axis(self.name, self.when)
        keys = {(type(value), value) for value in self.values}
        if not self.values or len(keys) != len(self.values):
            raise InputError(f"axis '{self.name}' needs at least one value and no value twice, got {self.values}")


@dataclass(frozen=True)
class IntRange:
    """An ordered axis: ``low``, ``low + step``, … up to ``high``, both ends included."""

    name: str
    low: int
    high: int
    step: int = 1
    when: When | None = None

    def __post_init__(self) -> None:
        _check_axis(self.name, self.when)
        if self.step < 1 or self.low > self.high or (self.high - self.low) % self.step:
            raise InputError(f"axis '{self.name}' must run from low to high in whole steps, got {self}")

    @property
    def values(self) -> tuple[OptionValue, ...]:
        """Return every value of the range in order."""
        return tuple(range(self.low, self.high + 1, self.step))


Axis = Choice | IntRange


@dataclass(frozen=True)
class SearchSpace:
    """Axes over a base architecture.

    Raises:
        InputError: two axes have one name, or a condition names an axis that does not come before it or a value that
            this axis does not have.
    """

    name: str
    description: str
    base: ArchConfig
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        seen: dict[str, Axis] = {}
        for axis in self.axes:
            if axis.name in seen:
                raise InputError(f"space '{self.name}': axis '{axis.name}' is defined twice")
            if axis.when is not None:
                if axis.when.axis not in seen:
                    raise InputError(
                        f"space '{self.name}': '{axis.name}' depends on '{axis.when.axis}', which is no earlier axis"
                    )
                strange = [v for v in axis.when.values if v not in seen[axis.when.axis].values]
                if strange:
                    raise InputError(
                        f"space '{self.name}': '{axis.name}' depends on {axis.when.axis}={strange[0]}, which that axis "
                        "does not offer"
                    )
            seen[axis.name] = axis

    def architectures(self) -> "SearchSpace":
        """Return the space without the axes that change only the training."""
        return replace(self, axes=tuple(axis for axis in self.axes if axis.name.partition(".")[0] in SLOTS))

    def axis(self, name: str) -> Axis:
        """Return the axis called ``name``.

        Raises:
            InputError: there is none; the message lists the existing ones.
        """
        for axis in self.axes:
            if axis.name == name:
                return axis
        raise unknown_name("axis", name, (a.name for a in self.axes))

    def groups(self) -> dict[str, tuple[Axis, ...]]:
        """Return group (a slot, ``train`` or ``distill``) → its axes. Conditions never cross groups."""
        names = [axis.name.partition(".")[0] for axis in self.axes]
        return {
            group: tuple(axis for axis, name in zip(self.axes, names, strict=True) if name == group)
            for group in GROUPS
            if group in names
        }

    def active(self, axis: Axis, chosen: Mapping[str, OptionValue]) -> bool:
        """Return whether ``axis`` is active, given the values chosen before it."""
        return axis.when is None or (axis.when.axis in chosen and chosen[axis.when.axis] in axis.when.values)

    def group_configurations(self, group: str) -> list[Configuration]:
        """Return every combination of one group's axes, in the order of the axes."""
        found: list[Configuration] = [{}]
        for axis in self.groups().get(group, ()):
            longer: list[Configuration] = []
            for chosen in found:
                if self.active(axis, chosen):
                    longer += [{**chosen, axis.name: value} for value in axis.values]
                else:
                    longer.append(chosen)
            found = longer
        return found

    def size(self) -> int:
        """Return the exact number of configurations."""
        product = 1
        for group in self.groups():
            product *= len(self.group_configurations(group))
        return product

    def enumerate(self) -> Iterator[Configuration]:
        """Yield every configuration once, groups in the order of the slots; the last group varies fastest."""
        tables = [self.group_configurations(group) for group in self.groups()]
        for combination in itertools.product(*tables):
            yield {name: value for piece in combination for name, value in piece.items()}

    def check(self, configuration: Mapping[str, Any]) -> None:
        """Refuse a configuration that is not in the space.

        Raises:
            InputError: names the axis that is unknown, missing, inactive, or has a value it does not offer.
        """
        known = {axis.name for axis in self.axes}
        for name in configuration:
            if name not in known:
                raise unknown_name("axis", name, known)
        for axis in self.axes:
            here, wanted = axis.name in configuration, self.active(axis, configuration)
            if here != wanted:
                state = "is missing" if wanted else f"does not apply here (it needs {axis.when})"
                raise InputError(f"space '{self.name}': axis '{axis.name}' {state}")
            value = configuration.get(axis.name)
            if here and not any(value == v and type(value) is type(v) for v in axis.values):
                raise InputError(f"space '{self.name}': axis '{axis.name}' offers {list(axis.values)}, not {value!r}")

    def contains(self, configuration: Mapping[str, Any]) -> bool:
        """Return whether the configuration is in the space."""
        try:
            self.check(configuration)
        except InputError:
            return False
        return True

    def arch(self, configuration: Mapping[str, OptionValue]) -> ArchConfig:
        """Return the architecture of a configuration.

        Options that no axis sets are taken from the base. If a slot's ``name`` axis chooses a different part, no option
        of the base applies to that slot.
        """
        parts: dict[str, Part] = {}
        for slot, base in self.base.parts().items():
            name = str(configuration.get(f"{slot}.name", base.name))
            options = base.option_dict() if name == base.name else {}
            for key, value in configuration.items():
                group, _, option = key.partition(".")
                if group == slot and option != "name":
                    options[option] = value
            parts[slot] = Part(name, tuple(options.items()))
        return ArchConfig(**parts)

    def base_configuration(self) -> Configuration:
        """Return the values that the base has on the active axes of its slots; it has none on axes of training."""
        chosen: Configuration = {}
        for axis in self.axes:
            slot, _, option = axis.name.partition(".")
            if slot in SLOTS and self.active(axis, chosen):
                part = self.base.parts()[slot]
                chosen[axis.name] = part.name if option == "name" else part.option_dict()[option]
        return chosen

    def recipes(self) -> list[Configuration]:
        """Return every combination of the axes that change nothing that is built; one empty one if there are none."""
        tables = [self.group_configurations(group) for group in RECIPE]
        return [dict(itertools.chain(*(piece.items() for piece in pieces))) for pieces in itertools.product(*tables)]

    def train(self, configuration: Mapping[str, OptionValue]) -> dict[str, Any]:
        """Return the fields of ``TrainConfig`` that the configuration sets."""
        return _fields(configuration, "train")

    def distill(self, configuration: Mapping[str, OptionValue]) -> dict[str, Any]:
        """Return the fields of ``DistillConfig`` that the configuration sets."""
        return _fields(configuration, "distill")

    def to_dict(self) -> dict[str, Any]:
        """Return the whole space as plain data."""
        return {
            "name": self.name,
            "description": self.description,
            "base": self.base.to_dict(),
            "axes": [
                {
                    "name": axis.name,
                    "values": list(axis.values),
                    "ordered": isinstance(axis, IntRange),
                    "when": None if axis.when is None else {axis.when.axis: list(axis.when.values)},
                }
                for axis in self.axes
            ],
        }

    def digest(self) -> str:
        """Return 12 hex digits that identify the base and the axes; name and description are left out."""
        content = {key: value for key, value in self.to_dict().items() if key in ("base", "axes")}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
