"""Which networks of an ablation get more seeds: those of the differences and claims that are undecided.

The choice reads the search split, as every choice does. The verdicts of the report read the validation images.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

from harness.core.ablation import Ablation
from harness.core.hypotheses import HYPOTHESES, Hypothesis
from harness.core.record import TrialRecord, in_order
from harness.evaluation.contrasts import ALPHA, Estimate, blocks, estimate, undecided


def next_seeds(ablation: Ablation, records: Sequence[TrialRecord]) -> dict[str, int]:
    """Return label → number of seeds that each network is to be trained with, given the trainings that are complete.

    It depends on their search APs only, so that a resumed ablation takes the same decisions again. A network of which a
    training failed gets no more seeds.
    """
    first, aps = ablation.looks[0], search_aps(ablation, records)
    wanted = {arm.label: first for arm in ablation.arms}
    noise = blocks([values[:first] for values in aps.values() if len(values) >= first])
    if noise is None:
        return wanted
    open_before = set(ablation.differences)
    for look, following in pairwise(ablation.looks):
        if any(_ended(records, label, look) < look for label, seeds in wanted.items() if seeds >= look):
            break  # Until all trainings of a look have ended, nothing follows from it.
        reached = {one: ablation.reached(min(look, len(aps[one.a]), len(aps[one.b]))) for one in ablation.differences}
        tested = [one for one, seeds in reached.items() if seeds]
        found = [
            estimate({one.a: 1.0, one.b: -1.0}, aps, reached[one], noise, looks=len(ablation.looks)) for one in tested
        ]
        more = [
            _claim_is_open(HYPOTHESES[one.change], difference, aps[one.b], len(tested))
            if one.change in HYPOTHESES
            else is_open
            for one, difference, is_open in zip(tested, found, undecided(found), strict=True)
        ]
        open_before &= {one for one, is_open in zip(tested, more, strict=True) if is_open and reached[one] == look}
        wanted |= {label: following for one in open_before for label in (one.a, one.b)}
    return wanted


def _ended(records: Sequence[TrialRecord], label: str, look: int) -> int:
    """Return how many of a network's first ``look`` trainings have ended, also by a failure."""
    of = [record for record in records if label in (record.label, record.repeat_of) and record.state != "running"]
    return sum(record.training_number <= look for record in of)


def _claim_is_open(claim: Hypothesis, difference: Estimate, other: Sequence[float], tests: int) -> bool:
    """Return whether more seeds may decide a claim; it is tested against its own limit, corrected by Bonferroni."""
    return tests * difference.p(claim.limit(fmean(other[: difference.seeds]))) > ALPHA


def search_aps(ablation: Ablation, records: Sequence[TrialRecord]) -> Mapping[str, list[float]]:
    """Return label → mean search APs of the network's trainings in order, up to the first that is not complete."""
    return {
        arm.label: [
            mean for record in in_order(records, arm.label) if (mean := record.search_ap.get("mean")) is not None
        ]
        for arm in ablation.arms
    }
