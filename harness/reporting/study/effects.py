"""The effect of each value of each axis on the search AP, or on the score, estimated from all candidates together.

The model is additive: AP = constant + one term per axis, fitted by least squares. Every candidate contributes to the
estimate of every term, so a few dozen trainings give narrower intervals than trainings that change one value at a time
(factorial designs; Fisher, The Design of Experiments, 1935). The model has no interactions; they widen the intervals.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from harness.core.space import Configuration
from harness.evaluation.stats import CONFIDENCE, Interval
from harness.reporting.format import bounds, points
from harness.reporting.study.data import StudyData

LEAST_FREEDOM = 4
"""Least residual degrees of freedom; with fewer, the intervals are too wide and no table is written."""


class Effect(NamedTuple):
    """The difference in mean search AP, in [0, 1], between a value of an axis and the axis's first value.

    Attributes:
        base, value: the first value and the other value, as text.
        trials: number of candidates with ``value``.
        difference, low, high: the estimate and the limits of its interval.
    """

    axis: str
    base: str
    value: str
    trials: int
    difference: float
    low: float
    high: float


def effects(data: StudyData) -> list[Effect]:
    """Return the effects of a study's axes; empty where its candidates are too few to tell them apart."""
    compared = data.compared
    columns = _columns(data, [configuration for configuration, _ in compared])
    design = np.array(
        [[1.0, *(_value(chosen, axis) == value for axis, _, value in columns)] for chosen, _ in compared],
        dtype=np.float64,
    )
    freedom = len(compared) - design.shape[1] if compared else 0
    if not columns or freedom < LEAST_FREEDOM or np.linalg.matrix_rank(design) < design.shape[1]:
        return []
    aps = np.array([mean for _, mean in compared], dtype=np.float64)
    inverse = np.linalg.inv(design.T @ design)
    fitted = inverse @ design.T @ aps
    variance = float(((aps - design @ fitted) ** 2).sum()) / freedom
    reach = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * np.sqrt(variance * inverse.diagonal())
    return [
        Effect(*column, int(has.sum()), float(mean), float(mean - half), float(mean + half))
        for column, has, mean, half in zip(columns, design.T[1:], fitted[1:], reach[1:], strict=True)
    ]


def _columns(data: StudyData, chosen: list[Configuration]) -> list[tuple[str, str, str]]:
    """Return axis, first value and value of every further value that some candidates have."""
    found = []
    for axis in data.study.space.definition["axes"]:
        met = {_value(configuration, axis["name"]) for configuration in chosen}
        values = [text for text in map(str, axis["values"]) if text in met]
        found += [(axis["name"], values[0], value) for value in values[1:]]
    return found


def _value(configuration: Configuration, axis: str) -> str | None:
    return str(configuration[axis]) if axis in configuration else None


def table(data: StudyData) -> pd.DataFrame:
    """Return the effects as text, one row per value; empty where there are none."""
    return pd.DataFrame(
        [
            {
                "axis": effect.axis,
                "from": effect.base,
                "to": effect.value,
                "candidates": str(effect.trials),
                "score, points" if data.scores else "search AP mean, points": points(effect.difference),
                "interval": bounds(Interval(effect.low, effect.high), points),
            }
            for effect in effects(data)
        ]
    )
