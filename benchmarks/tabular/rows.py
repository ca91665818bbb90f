"""Records of trainings as networks of a table, with as many digits as mean something."""

from collections.abc import Sequence
from typing import Any

from benchmarks.tabular.graded import VAL
from harness.core.record import TrialRecord
from harness.core.table import Curves, Network, Trained

AP_DIGITS, LOSS_DIGITS, SECONDS_DIGITS = 5, 4, 2
"""Decimals of an AP, significant digits of a loss and of a latency, decimals of seconds."""

ENDED = ("complete", "failed")
_SPEED = ("latency_ms", "latency_iqr_ms", "ratio_to_v1", "reference_fps", "size", "runs", "threads", "device")


def network(records: Sequence[TrialRecord], feasible: bool) -> Network:
    """Return a network from the records of its trainings, the first seed first; those that have not ended are left out.

    Args:
        records: of one configuration.
        feasible: whether it fits the budget.
    """
    first = records[0]
    return Network(
        label=first.label,
        configuration=first.configuration,
        arch=first.arch,
        params=first.params,
        parts=first.parts,
        macs=first.macs,
        feasible=feasible,
        speed={key: _significant(first.speed[key]) for key in _SPEED if key in first.speed},
        trainings=tuple(trained(record) for record in records if record.state in ENDED),
    )


def trained(record: TrialRecord) -> Trained:
    """Return one training."""
    return Trained(
        seed=record.seed,
        state=record.state,
        reason=record.reason,
        search=_curves([info["ap"] for info in record.epochs]),
        val=_curves([info[VAL] for info in record.epochs]),
        losses={
            name: [_significant(info["losses"][name]) for info in record.epochs]
            for name in (record.epochs[0]["losses"] if record.epochs else ())
        },
        seconds=[round(info["seconds"], SECONDS_DIGITS) for info in record.epochs],
    )


def _curves(epochs: Sequence[dict[str, float | None]]) -> Curves:
    """Return name → AP after each epoch; None after an epoch without an evaluation."""
    rows = [rounded(ap) for ap in epochs]
    names = next((list(row) for row in rows if row), [])
    return {name: [row.get(name) for row in rows] for name in names}


def rounded(ap: dict[str, float | None]) -> dict[str, float | None]:
    """Return an AP with the digits that it has in a table."""
    return {name: None if value is None else round(value, AP_DIGITS) for name, value in ap.items()}


def _significant(value: Any) -> Any:
    return float(f"{value:.{LOSS_DIGITS}g}") if isinstance(value, float) else value
