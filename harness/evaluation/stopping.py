"""Early stopping with several objectives: a training ends when its network can no longer be on the Pareto front.

Costs (parameters, predicted latency) are known before a training, AP is not. So a network is compared with those that
are no worse in any cost. After an epoch, it is assumed to gain as much AP as the largest gain that any finished
training made from that epoch to its end. It stops if even then one of the others would have a higher AP. If the next
training's gain is as likely to be the largest as that of each of n finished ones, the assumption is too low for one in
n + 1 trainings. Optuna's pruners compare one objective only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.core.record import TrialRecord
from harness.evaluation.objectives import costs

LEAST = 10
"""Least number of finished trainings with an AP after the epoch, from which the largest gain is taken."""


@dataclass(frozen=True)
class Training:
    """What one training showed.

    Attributes:
        costs: the objectives other than AP, known before it; less is better.
        curve: epoch → AP, after the epochs that were evaluated.
        final: AP of its network; None if it did not reach its end.
    """

    costs: tuple[float, ...]
    curve: Mapping[int, float]
    final: float | None


def shown(record: TrialRecord, objectives: Sequence[str]) -> Training:
    """Return what the training of a record showed, by search AP.

    Raises:
        DataError: latency is an objective, and the record has no predicted latency.
    """
    means = {info["epoch"]: (info["ap"] or {}).get("mean") for info in record.epochs}
    return Training(
        costs(record, objectives),
        {epoch: float(mean) for epoch, mean in means.items() if mean is not None},
        record.search_ap.get("mean") if record.state == "complete" else None,
    )


class Dominance:
    """Decides after every epoch that is evaluated whether one training continues.

    Args:
        own: the costs of its network.
        earlier: the trainings that it is compared with.
    """

    def __init__(self, own: tuple[float, ...], earlier: Sequence[Training]) -> None:
        finished = [(training, training.final) for training in earlier if training.final is not None]
        rivals = [
            final
            for training, final in finished
            if all(other <= cost for other, cost in zip(training.costs, own, strict=True))
        ]
        self._finished = finished
        self._rival = max(rivals, default=None)
        self._reached = 0.0

    def stops(self, epoch: int, ap: float) -> bool:
        """Record the AP after an epoch, from 1, and return whether the training stops."""
        self._reached = max(self._reached, ap)
        gains = [final - training.curve[epoch] for training, final in self._finished if epoch in training.curve]
        if self._rival is None or len(gains) < LEAST:
            return False
        return max(self._reached, ap + max(gains)) < self._rival


def replay(trainings: Sequence[Training], window: int, epochs: int) -> dict[int, int]:
    """Return what the rule would have stopped of trainings that ran without it: number → the epoch of its end.

    Decisions are those of a study with the rule and the same proposals: training n is compared with 0 … n - window, of
    which those that the rule stopped have not finished.

    Args:
        trainings: all trainings of a study, by number.
        window: the study's window.
        epochs: length of its schedule; a training that is there has ended anyway.
    """
    stopped: dict[int, int] = {}
    for number, training in enumerate(trainings):
        earlier = [one for n, one in enumerate(trainings[: max(0, number + 1 - window)]) if n not in stopped]
        rule = Dominance(training.costs, earlier)
        for epoch, ap in sorted(training.curve.items()):
            if epoch < epochs and rule.stops(epoch, ap):
                stopped[number] = epoch
                break
    return stopped
