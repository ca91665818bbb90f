"""The documents' qualitative claims as hypotheses that can be run: each compares networks that are trained alike.

The claims that have no number get one here: "suffice", "optimal" and "lose nothing" hold if the claimed network has at
most ``MARGIN`` less AP than each of the others.
"""

from dataclasses import dataclass

from harness.core.ablation import MARGIN, Arm, Difference
from harness.core.arms import EXCHANGED, exchanged, varied
from harness.core.documented import ATTENTION, HEADS, NECK, STRATEGY, claim


@dataclass(frozen=True)
class Hypothesis:
    """One claim: the AP of ``claimed`` is at least ``kept`` times that of each of ``others``, less ``margin``.

    Attributes:
        name: on the command line.
        written: the claim in the documents' words, or in short; ``where``: section of the documents.
        tested: the statement that is tested, in words.
    """

    name: str
    written: str
    where: str
    tested: str
    claimed: Arm
    others: tuple[Arm, ...]
    kept: float = 1.0
    margin: float = 0.0

    def limit(self, ap: float) -> float:
        """Return the least difference from another network's AP, in [0, 1], with which the claim holds."""
        return -(1 - self.kept) * ap - self.margin

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Return the compared networks."""
        return (self.claimed, *self.others)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Return the claimed network less each of the others."""
        return tuple(Difference(self.claimed.label, other.label, self.name) for other in self.others)


_V1, _V2 = exchanged(()), exchanged(EXCHANGED)
_POINTS = f"{100 * MARGIN:g} point"

HYPOTHESES = {
    one.name: one
    for one in (
        Hypothesis(
            "cbam_plus",
            claim("kept.cbam_quality").written,
            ATTENTION,
            "V1 with CBAM_Plus has at least 95 % of V1's AP",
            exchanged(("attention",)),
            (_V1,),
            kept=claim("kept.cbam_quality").value / 100,
        ),
        Hypothesis(
            "bifpn_light",
            claim("kept.bifpn_quality").written,
            NECK,
            "V1 with BiFPN_Light of 32 channels has at least 97 % of V1's AP",
            exchanged(("neck",)),
            (_V1,),
            kept=claim("kept.bifpn_quality").value / 100,
        ),
        Hypothesis(
            "channels_32",
            "32 channels suffisants",
            STRATEGY,
            f"V2 has at most {_POINTS} less AP than with 48 or 64 channels",
            _V2,
            (varied("v2", {"neck.channels": 48}), varied("v2", {"neck.channels": 64})),
            margin=MARGIN,
        ),
        Hypothesis(
            "groups_4",
            "4 groups optimal",
            STRATEGY,
            f"V2 has at most {_POINTS} less AP than with 1, 2 or 8 groups in its context modules",
            _V2,
            tuple(varied("v2", {"context.groups": groups}) for groups in (1, 2, 8)),
            margin=MARGIN,
        ),
        Hypothesis(
            "reduction_32",
            "32:1 ratio optimal",
            STRATEGY,
            f"V2 has at most {_POINTS} less AP than with a reduction of 8, 16 or 64 in its attention",
            _V2,
            tuple(varied("v2", {"attention.reduction": reduction}) for reduction in (8, 16, 64)),
            margin=MARGIN,
        ),
        Hypothesis(
            "shared_heads",
            "Convolutions partagées entre tâches",
            HEADS,
            f"V2 with heads that share a 3×3 convolution, as in the documents' snippet, has at most {_POINTS} less AP "
            "than with V1's separate heads",
            varied("v2", {"head.trunk": "conv"}),
            (exchanged([part for part in EXCHANGED if part != "head"]),),
            margin=MARGIN,
        ),
    )
}
"""Name → hypothesis."""
