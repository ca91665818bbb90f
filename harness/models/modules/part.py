"""What every interchangeable part shares: its options as data, its closed-form cost, its registry entry.

A part is a ``torch.nn.Module`` that maps three feature maps to three feature maps (a backbone starts from the image,
a head ends in predictions). ``Component`` ties the class to its options and to its cost; it cannot be constructed
without a cost, nor with a cost or a class that reads other options than those it declares.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from harness.core.arch import OptionValue

Levels = tuple[int, int, int]
"""One integer for each of P3, P4 and P5 (strides 8, 16, 32)."""

Features = tuple[Tensor, Tensor, Tensor]
"""The feature maps P3, P4 and P5, each (B, C, h, w)."""

LEVEL_NAMES = ("p3", "p4", "p5")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part costs, in the four ways of counting that there are, and in multiply-adds.

    Attributes:
        params: every ``nn.Parameter``, frozen or not.
        macs: multiply-adds of convolutions and linears for one image (biases, norms, activations, pooling and
            resizing are left out).
        buffers: elements of all buffers. Only BatchNorms have any: running means and variances and, one each, the
            number of batches seen.
        norms: how many BatchNorms there are.
        folded: parameters that go when every BatchNorm that follows a convolution directly is folded into it.
    """

    params: int = 0
    macs: int = 0
    buffers: int = 0
    norms: int = 0
    folded: int = 0

    @property
    def with_buffers(self) -> int:
        """Return parameters and buffers, element by element."""
        return self.params + self.buffers

    @property
    def deployed(self) -> int:
        """Return the parameters that are left for inference, BatchNorms folded into convolutions."""
        return self.params - self.folded

    @property
    def bytes(self) -> int:
        """Return the bytes of all tensors of a weights file: float32, and an int64 a norm; the header is no tensor."""
        return 4 * (self.params + self.buffers - self.norms) + 8 * self.norms

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.params + other.params,
            self.macs + other.macs,
            self.buffers + other.buffers,
            self.norms + other.norms,
            self.folded + other.folded,
        )


NOTHING = Cost()


def total(costs: list[Cost]) -> Cost:
    """Return the sum of ``costs``."""
    return sum(costs, NOTHING)


@dataclass(frozen=True)
class Option:
    """One option of a part. There are no defaults: an architecture names every option.

    Attributes:
        name: keyword of the part's constructor.
        meaning: one line.
        values: the only accepted values; empty for an integer of at least ``low``.
        low: smallest accepted integer.
    """

    name: str
    meaning: str
    values: tuple[OptionValue, ...] = ()
    low: int = 1

    @property
    def kind(self) -> type:
        """Return the type of the option's values."""
        return type(self.values[0]) if self.values else int

    def accepts(self, value: OptionValue) -> bool:
        """Say whether ``value`` is offered; ``True`` is not the integer 1."""
        if self.values:
            return any(value == v and type(value) is type(v) for v in self.values)
        return type(value) is int and value >= self.low

    def accepted(self) -> str:
        """Return what is accepted, for a message."""
        return ", ".join(map(str, self.values)) if self.values else f"an integer of at least {self.low}"


def flag(name: str, meaning: str) -> Option:
    """Return an option that is on or off."""
    return Option(name, meaning, (False, True))


@dataclass(frozen=True)
class Misfit:
    """Why an option does not fit the widths it meets, and which values would."""

    option: str
    reason: str
    allowed: tuple[OptionValue, ...] = ()


def divisors(number: int) -> tuple[int, ...]:
    """Return the positive divisors of ``number``, ascending."""
    return tuple(d for d in range(1, number + 1) if number % d == 0)


def fits(*_: object, **__: object) -> Misfit | None:
    """Answer that every combination of accepted options can be built."""
    return None


@dataclass(frozen=True)
class Component:
    """A registered part.

    Attributes:
        module: the class; called as ``module(inputs, **options)`` with the three input widths (a backbone without
            ``inputs``).
        cost: closed form, ``cost(inputs, positions, **options)`` with the pixels of each level (a backbone:
            ``cost((height, width), **options)``).
        options: every option there is.
        misfit: ``misfit(inputs, **options)`` says why accepted options still cannot be built, or nothing.
        channels: a backbone's ``channels(**options)`` are the widths of its three maps; no other part has it.
    """

    module: Callable[..., nn.Module]
    cost: Callable[..., Cost]
    options: tuple[Option, ...] = ()
    misfit: Callable[..., Misfit | None] = fits
    channels: Callable[..., Levels] | None = None

    def __post_init__(self) -> None:
        declared = {option.name for option in self.options}
        for role in (self.module, self.cost):
            read = {
                parameter.name
                for parameter in inspect.signature(role).parameters.values()
                if parameter.kind is inspect.Parameter.KEYWORD_ONLY
            }
            if read != declared:
                raise ValueError(f"{role} reads the options {sorted(read)}, declared are {sorted(declared)}")

    def option(self, name: str) -> Option | None:
        """Return the option called ``name``, if there is one."""
        return next((option for option in self.options if option.name == name), None)


class PerLevel(nn.Module):
    """One module a level, under the keys ``p3``, ``p4`` and ``p5``."""

    def __init__(self, make: Callable[[int], nn.Module], inputs: Levels) -> None:
        super().__init__()
        for name, channels in zip(LEVEL_NAMES, inputs, strict=True):
            self.add_module(name, make(channels))

    def forward(self, features: Features) -> Features:
        """Apply each level's module to its map."""
        p3, p4, p5 = (level(image) for level, image in zip(self.children(), features, strict=True))
        return p3, p4, p5


class Identity(nn.Module):
    """Leaves the three maps as they are."""

    def __init__(self, inputs: Levels) -> None:
        super().__init__()

    def forward(self, features: Features) -> Features:
        """Return ``features``."""
        return features

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return nothing."""
        return NOTHING
