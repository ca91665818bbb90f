"""What all interchangeable parts share: options as data, a closed-form cost, an entry in a registry.

A part is a ``torch.nn.Module`` that maps three feature maps to three feature maps (a backbone takes the image, a head
returns predictions). ``Component`` holds the class, its options and its cost. It refuses a class or a cost that takes
other options than those declared.
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
    """The cost of a part: parameters, MACs, and the counts from which the other measures follow.

    Attributes:
        params: every ``nn.Parameter``, frozen or not.
        macs: multiply-accumulate operations (MACs) of convolutions and linears for one image. Biases, norms,
            activations, pooling and resizing are left out.
        buffers: elements of all buffers. Only BatchNorms have buffers: per norm the running means and variances and
            one number of batches seen.
        norms: number of BatchNorms.
        folded: parameters saved by folding every BatchNorm into the convolution straight before it.
        latency: measured, in V1's latency / ``LATENCY_UNIT``; 0 in a closed form, which does not know it.
    """

    params: int = 0
    macs: int = 0
    buffers: int = 0
    norms: int = 0
    folded: int = 0
    latency: int = 0

    @property
    def with_buffers(self) -> int:
        """Return the number of elements of all parameters and buffers."""
        return self.params + self.buffers

    @property
    def deployed(self) -> int:
        """Return the parameters left for inference, after BatchNorms are folded into convolutions."""
        return self.params - self.folded

    @property
    def bytes(self) -> int:
        """Return the bytes of all tensors in a weights file, without its header: float32, and one int64 per norm."""
        return 4 * (self.params + self.buffers - self.norms) + 8 * self.norms

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.params + other.params,
            self.macs + other.macs,
            self.buffers + other.buffers,
            self.norms + other.norms,
            self.folded + other.folded,
            self.latency + other.latency,
        )


NOTHING = Cost()


def total(costs: list[Cost]) -> Cost:
    """Return the sum of ``costs``."""
    return sum(costs, NOTHING)


MOST = 1_024
"""Largest integer that an option accepts: more channels or repetitions would fill memory before anything is counted."""


@dataclass(frozen=True)
class Option:
    """One option of a part. Options have no defaults: an architecture sets every one.

    Attributes:
        name: keyword argument of the part's constructor.
        meaning: one line of description.
        values: the only accepted values; empty for an integer from ``low`` to ``MOST``.
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
        """Return whether ``value`` is accepted; ``True`` and the integer 1 are different values."""
        if self.values:
            return any(value == v and type(value) is type(v) for v in self.values)
        return type(value) is int and self.low <= value <= MOST

    def accepted(self) -> str:
        """Return the accepted values as text for a message."""
        return ", ".join(map(str, self.values)) if self.values else f"an integer from {self.low} to {MOST:,}"


def flag(name: str, meaning: str) -> Option:
    """Return an option that is True or False."""
    return Option(name, meaning, (False, True))


@dataclass(frozen=True)
class Misfit:
    """Why a part cannot be built on maps with these numbers of channels, and which values of the option fit.

    Attributes:
        option: the option that does not fit; empty if changing an option does not help.
        reason: completes a sentence that starts with the option, or with the part.
        allowed: values of the option that pass this check; another check may still refuse them.
    """

    option: str
    reason: str
    allowed: tuple[OptionValue, ...] = ()


def divisors(number: int) -> tuple[int, ...]:
    """Return the positive divisors of ``number``, ascending."""
    return tuple(d for d in range(1, number + 1) if number % d == 0)


def fits(*_: object, **__: object) -> Misfit | None:
    """Return None: every combination of accepted options can be built."""
    return None


@dataclass(frozen=True)
class Component:
    """A registered part.

    Attributes:
        module: the class; called as ``module(inputs, **options)`` with the input channels of the three levels (a
            backbone: ``module(**options)``).
        cost: closed form; called as ``cost(inputs, positions, **options)`` with the pixels of the three levels (a
            backbone: ``cost((height, width), **options)``).
        options: all options.
        misfit: called as ``misfit(inputs, **options)``; returns why individually accepted options cannot be built
            together on these inputs, or None if they can.
        channels: only for a backbone; called as ``channels(**options)``, returns the channels of its three maps.
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
                raise ValueError(f"{role} takes the options {sorted(read)}, but {sorted(declared)} are declared")

    def option(self, name: str) -> Option | None:
        """Return the option called ``name``, or None."""
        return next((option for option in self.options if option.name == name), None)


class PerLevel(nn.Module):
    """One module per level, under the keys ``p3``, ``p4`` and ``p5``."""

    def __init__(self, make: Callable[[int], nn.Module], inputs: Levels) -> None:
        super().__init__()
        for name, channels in zip(LEVEL_NAMES, inputs, strict=True):
            self.add_module(name, make(channels))

    def forward(self, features: Features) -> Features:
        """Apply each level's module to its map."""
        p3, p4, p5 = (level(image) for level, image in zip(self.children(), features, strict=True))
        return p3, p4, p5


class Identity(nn.Module):
    """Returns the three maps unchanged."""

    def __init__(self, inputs: Levels) -> None:
        super().__init__()

    def forward(self, features: Features) -> Features:
        """Return ``features``."""
        return features

    @staticmethod
    def cost(inputs: Levels, positions: Levels) -> Cost:
        """Return a zero cost."""
        return NOTHING
