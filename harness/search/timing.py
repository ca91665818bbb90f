"""Time that a study spends, by purpose."""

from collections.abc import Sequence

from harness.core.record import TrialRecord


def timing(records: Sequence[TrialRecord], total: float, idle_share: float | None) -> dict[str, float]:
    """Return seconds by purpose and two shares.

    ``overhead_share`` is 1 - (train + evaluate + speed) / total, summed over all trained networks except the teacher. A
    trial's total runs from the moment its worker is free (so the proposal counts) until its result is on disk, without
    waiting for other trials' results, plus its speed measurement. ``idle_share`` is the part of the workers' time
    in which they had no trial: while an earlier result was missing, and at the end of the study.

    Args:
        records: references and candidates; those whose training was read from another study took no time.
        total: seconds since the study began, over all its runs.
        idle_share: the share in this run; None before its end.
    """
    records = [record for record in records if not record.read_from]
    sums = {name: sum(r.seconds.get(name, 0.0) for r in records) for name in ("train", "evaluate", "speed", "total")}
    worked = sums["train"] + sums["evaluate"] + sums["speed"]
    spent = {name: round(sums[name], 3) for name in ("train", "evaluate", "speed")}
    shares = {} if not sums["total"] else {"overhead_share": round(1 - worked / sums["total"], 5)}
    if idle_share is not None:
        shares["idle_share"] = round(idle_share, 5)
    return {"total": round(total, 3), **spent, **shares}
