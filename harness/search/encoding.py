"""Configurations as rows of numbers, from which a surrogate learns."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from harness.core.arch import OptionValue
from harness.core.space import Axis, Configuration, IntRange, SearchSpace
from harness.counting import SpaceCounts
from harness.errors import InputError

Floats = NDArray[np.float64]


class Encoding:
    """The numbers of a space's configurations: its axes, parameters and MACs.

    An ordered axis is one number; each value of an unordered axis is a number that is 1 where it is chosen. An axis
    that does not apply gives zeros.

    Args:
        space: the space.
        size: side of the square image for MACs, pixels.
    """

    def __init__(self, space: SearchSpace, size: int) -> None:
        self._space = space
        # Counts of its own, which are never asked for totals: these would be sent to every process.
        self._counts = SpaceCounts(space)
        self._size = size

    def rows(self, configurations: Iterable[Configuration]) -> Floats:
        """Return the numbers (n, F) of configurations.

        Raises:
            InputError: a configuration cannot be built.
        """
        return np.array([self._row(configuration) for configuration in configurations], dtype=np.float64)

    def _row(self, configuration: Configuration) -> list[float]:
        cost = self._counts.cost(configuration, self._size)
        if cost is None:
            raise InputError(f"{configuration} cannot be built, so it has no AP")
        axes = [number for axis in self._space.axes for number in _numbers(axis, configuration.get(axis.name))]
        return [*axes, float(cost.params), float(cost.macs)]


def _numbers(axis: Axis, value: OptionValue | None) -> list[float]:
    if isinstance(axis, IntRange):
        return [0.0 if value is None else float(value)]
    return [float(value == offered and type(value) is type(offered)) for offered in axis.values]
