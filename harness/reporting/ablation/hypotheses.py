"""The documents' claims, as far as an ablation has their networks: the measured effect and a verdict.

A claim is supported if the claimed network is shown to have enough AP against each of the other networks. It is refuted
if it is shown to have too little against one of them. "Shown" is a two-sided test against the claim's limit, over seeds
and over images, corrected for the number of hypotheses in the report.
"""

from dataclasses import dataclass
from statistics import fmean

from harness.core.hypotheses import HYPOTHESES, Hypothesis
from harness.evaluation.contrasts import ALPHA, Estimate, holm
from harness.evaluation.stats import Sampled
from harness.reporting.ablation.data import AblationData

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided at this scale"


@dataclass(frozen=True, eq=False)
class Effect:
    """The AP of the claimed network less that of another, and the least difference that the claim allows."""

    other: str
    estimate: Estimate
    ap: Sampled
    limit: float

    @property
    def enough(self) -> bool:
        """Whether the measured difference is what the claim says, by chance or not."""
        return self.estimate.value >= self.limit


@dataclass(frozen=True, eq=False)
class Judged:
    """A hypothesis, its measured effects, and the verdict."""

    hypothesis: Hypothesis
    effects: list[Effect]
    verdict: str


def judged(data: AblationData) -> list[Judged]:
    """Return the hypotheses whose networks this ablation has trained, each with its verdict."""
    found = {name: effects for name, one in HYPOTHESES.items() if (effects := _effects(one, data))}
    corrected = holm([_p(effects) for effects in found.values()])
    return [
        Judged(HYPOTHESES[name], effects, UNDECIDED if p > ALPHA else SUPPORTED if _hold(effects) else REFUTED)
        for (name, effects), p in zip(found.items(), corrected, strict=True)
    ]


def _effects(hypothesis: Hypothesis, data: AblationData) -> list[Effect]:
    """Return the effects of a hypothesis; empty if one of its networks is missing or has too few seeds."""
    if not set(hypothesis.arms) <= set(data.ablation.arms):
        return []
    effects = []
    for other in hypothesis.others:
        found = data.estimated({hypothesis.claimed.label: 1.0, other.label: -1.0})
        if found is None:
            return []
        aps = data.aps[other.label][: found[0].seeds]
        effects.append(Effect(other.label, *found, limit=hypothesis.limit(fmean(aps))))
    return effects


def _hold(effects: list[Effect]) -> bool:
    return all(effect.enough for effect in effects)


def _p(effects: list[Effect]) -> float:
    """Return the p-value of a hypothesis: all comparisons must support it, or any one refutes it (Bonferroni)."""
    if _hold(effects):
        return max(effect.estimate.p(effect.limit) for effect in effects)
    against = [effect.estimate.p(effect.limit) for effect in effects if not effect.enough]
    return min(1.0, len(effects) * min(against))
