"""Findings of an ablation: sentences that are computed from its records."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from harness.core.ablation import MARGIN
from harness.evaluation.contrasts import BETTER, TIE, WORSE
from harness.evaluation.stats import CONFIDENCE
from harness.reporting.ablation.counts import Counts
from harness.reporting.ablation.data import AblationData, Measured
from harness.reporting.ablation.hypotheses import Judged
from harness.reporting.ablation.tables import number
from harness.reporting.format import bounds, counted, percent, points

_PAYS = {
    (True, BETTER): "It pays: fewer parameters and a higher AP.",
    (True, WORSE): "It saves parameters at the price of AP.",
    (False, BETTER): "It gains AP for more parameters.",
    (False, TIE): "It does not pay: no gain is shown, and no parameters are saved.",
    (False, WORSE): "It does not pay: AP is lost, and no parameters are saved.",
}
"""Whether parameters are saved, and the verdict on AP → conclusion; see ``_tie`` for what is missing."""


def headline(data: AblationData) -> str:
    """Return one paragraph: what was trained, and which network has the highest AP."""
    config, ablation = data.study.study.config, data.ablation
    unfinished = ""
    if data.trainings < data.wanted:
        unfinished = f"**Unfinished: {data.trainings:,} of {counted(data.wanted, 'training')} are complete.** "
    teacher = "each distilled from the teacher" if config.distill.uses_teacher else "each without a teacher"
    text = (
        f"{unfinished}{counted(len(ablation.arms), 'network')}, {teacher}, with the same images, schedule, "
        f"augmentation and seeds, {ablation.looks[0]} or more; {counted(data.trainings, 'training')}. All were "
        f"evaluated on the same {data.found.images:,} validation images."
    )
    found = data.highest
    if found is None:
        return text
    top, tied = found
    ap = percent(fmean(data.aps[top]))
    if not tied:
        return f"{text} {top} has the highest mean AP, {ap} %; all others are shown to be worse."
    return (
        f"{text} {top} has the highest measured mean AP, {ap} %, and ties with {counted(len(tied), 'other network')}: "
        f"{', '.join(tied)}."
    )


def part_findings(data: AblationData, counted_: Counts) -> list[str]:
    """Return for every exchanged part its parameters, its effect on AP, and whether it pays; empty if not measured."""
    return [_part(part, counted_, one, len(data.parts)) for part, one in data.parts.items()]


def _part(part: str, counted_: Counts, found: Measured, parts: int) -> str:
    params, multiply = counted_.parts["params"][part], counted_.parts["macs"][part]
    text = f"**{part}**: {number(params)} parameters, {number(multiply)} MACs."
    if not params and not multiply:
        text = f"**{part}**: neither parameters nor MACs change."
    over_seeds, over_images = found.estimate.over_seeds(), found.ap.interval("mean")
    text += (
        f" AP {points(found.estimate.value)} points {bounds(over_seeds, points)} over seeds, "
        f"{bounds(over_images, points)} over images: {found.verdict}."
    )
    if not params and not multiply and found.verdict == TIE:
        return f"{text} No difference is shown at all."
    if params < 0 and found.verdict == TIE:
        return f"{text} {_tie(found.estimate.least(parts), parts)}"
    return f"{text} {_PAYS[params < 0, found.verdict]}"


def _tie(least: float, parts: int) -> str:
    """Return what follows from a tie with fewer parameters, given a lower bound that holds for all parts together."""
    loss = percent(max(-least, 0.0))
    if least >= -MARGIN:
        return (
            f"It pays: fewer parameters, and a loss of more than {loss} points is excluded (one-sided, "
            f"{100 * CONFIDENCE:.0f} % for {counted(parts, 'part')} together)."
        )
    return f"Open: fewer parameters, and no loss is shown, but one of up to {loss} points is not excluded."


def difference_findings(data: AblationData) -> Iterator[str]:
    """Yield the differences that are shown, and the seed variance."""
    shown = [(one, measured) for one, measured in data.differences if measured.verdict != TIE]
    for one, measured in shown:
        yield (
            f"{one.a} is {measured.verdict} than {one.b} ({one.change}): {points(measured.estimate.value)} points "
            f"{bounds(measured.estimate.over_seeds(), points)} over seeds."
        )
    if data.differences:
        tied = len(data.differences) - len(shown)
        yield f"{tied:,} of {counted(len(data.differences), 'difference')} are not shown: these networks tie."
    if data.noise is not None:
        yield (
            f"Between seeds, the difference of two networks varies with a standard deviation of "
            f"{100 * 2**0.5 * data.noise.sd:.2f} points ({counted(data.noise.freedom, 'degree')} of freedom)."
        )
    left = len(data.ablation.differences) - len(data.differences)
    if left:
        yield f"{counted(left, 'difference')} cannot be estimated yet: trainings are missing."


def coverage(data: AblationData, counted_: Counts) -> str:
    """Return how the values of the five parts were computed."""
    text = (
        f"Parameters and MACs: exact Shapley values over all {counted_.orders} orders of exchanges that can be built."
    )
    if not data.orders:
        return f"{text} AP and latency: the networks of this ablation form no such order, see its differences."
    return f"{text} AP and latency: over the {data.orders} of these orders whose networks were trained."


def hypothesis_findings(found: Sequence[Judged]) -> list[str]:
    """Return one sentence per hypothesis."""
    return [
        f"“{one.hypothesis.written}” ({one.hypothesis.where}): **{one.verdict}**. Tested: {one.hypothesis.tested}. "
        f"Measured: {'; '.join(_effect(one, number) for number in range(len(one.effects)))}."
        for one in found
    ]


def _effect(one: Judged, position: int) -> str:
    effect = one.effects[position]
    return (
        f"{points(effect.estimate.value)} points against {effect.other} {bounds(effect.estimate.over_seeds(), points)} "
        f"over seeds, with {points(effect.limit)} allowed"
    )
