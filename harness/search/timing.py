"""Time that a study spends, by purpose."""

from collections.abc import Iterable

from harness.core.scores import Scored
from harness.search.tally import SPENT, Tally


def timing(tally: Tally, total: float, idle_share: float | None) -> dict[str, float]:
    """Return seconds by purpose and two shares.

    ``overhead_share`` is 1 - (train + evaluate + speed) / total, summed over all trained networks except the teacher. A
    trial's total runs from the moment its worker is free (so the proposal counts) until its result is on disk, without
    waiting for other trials' results, plus its speed measurement. ``idle_share`` is the part of the workers' time
    in which they had no trial: while an earlier result was missing, and at the end of the study.

    Args:
        tally: of references and candidates; those whose training was read from another study took no time.
        total: seconds since the study began, over all its runs.
        idle_share: the share in this run; None before its end.
    """
    sums = {name: tally.seconds(name) for name in SPENT}
    worked = sums["train"] + sums["evaluate"] + sums["speed"]
    spent = {name: round(sums[name], 3) for name in ("train", "evaluate", "speed")}
    shares = {} if not sums["total"] else {"overhead_share": round(1 - worked / sums["total"], 5)}
    if idle_share is not None:
        shares["idle_share"] = round(idle_share, 5)
    return {"total": round(total, 3), **spent, **shares}


def seconds_left(
    tally: Tally,
    trainings: int,
    epochs: int,
    scores: Iterable[Scored],
    unscored: int,
    looks: int,
    workers: int,
) -> float | None:
    """Return the estimated seconds until all trainings have ended, if none is pruned.

    None before the first epoch, or before the first score where candidates are scored.

    Args:
        tally: of all networks but the teacher, those that wait for a worker included.
        trainings: number of trainings of the study.
        epochs: of a training.
        scores: candidates that were scored.
        unscored: number of candidates still to be scored.
        looks: number of candidates of the short list still to be trained for one epoch.
        workers: number of trainings at once.
    """
    took = [scored.seconds for scored in scores]
    here = [] if tally.epochs else [epoch for record in tally.own() for epoch in record.epochs]
    if not (tally.epochs or here) or (unscored and not took):
        return None
    if tally.epochs:
        cost = tally.spent("total") / tally.epochs
    else:
        cost = sum(epoch["seconds"] + epoch.get("evaluate_seconds", 0.0) for epoch in here) / len(here)
    running = sum(max(0, epochs - len(record.epochs)) for record in tally.running.values())
    waiting = max(0, trainings - len(tally)) * epochs
    scoring = unscored * sum(took) / len(took) if took else 0.0
    return ((running + waiting + looks) * cost + scoring) / workers
