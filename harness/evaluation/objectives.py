"""A study's objectives as numbers: search AP, which a training shows, and costs, which are known before it."""

from collections.abc import Sequence

import numpy as np

from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord
from harness.errors import DataError
from harness.evaluation.fronts import Points


def costs(record: TrialRecord, objectives: Sequence[str]) -> tuple[float, ...]:
    """Return a network's values of the objectives other than AP; less is better.

    Raises:
        DataError: latency is an objective, and the record has no predicted latency.
    """
    values = {"params": float(record.params), "latency": record.latency}
    found = [value for name in objectives if name != "ap" and (value := values[name]) is not None]
    if len(found) < len(objectives) - 1:
        raise DataError(f"the record of {record.label} has no predicted latency: remove its folder")
    return tuple(found)


def limits(config: StudyConfig) -> tuple[float, ...]:
    """Return the costs at the reference point, where AP is 0: the budget's parameters, and its bound on latency.

    Without such a bound the latency is V1's, which is 1.
    """
    known = {"params": float(config.budget.max_params), "latency": config.budget.max_latency_ratio or 1.0}
    return tuple(known[name] for name in config.objectives if name != "ap")


def normalised(records: Sequence[TrialRecord], config: StudyConfig) -> Points:
    """Return the points (n, objectives) of some networks of a study, as ``scaled`` does.

    Args:
        records: networks with a mean search AP.
        config: their study.

    Raises:
        DataError: latency is an objective, and a record has no predicted latency.
    """
    aps = [record.search_ap["mean"] or 0.0 for record in records]
    return scaled(aps, [costs(record, config.objectives) for record in records], limits(config))


def scaled(aps: Sequence[float], costs: Sequence[tuple[float, ...]], limits: tuple[float, ...]) -> Points:
    """Return points (n, objectives) to be minimised: 1 - AP, and each cost as a share of its limit.

    The ideal is 0 everywhere, the reference point is 1 everywhere.
    """
    rows = [(1 - ap, *np.divide(own, limits)) for ap, own in zip(aps, costs, strict=True)]
    return np.array(rows, dtype=np.float64).reshape(len(rows), 1 + len(limits))
