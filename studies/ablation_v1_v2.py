"""The protocol of the ablations from V1 to V2: synthetic scenes, the schedule of ``scenes``, no teacher.

Without a teacher, a network's AP is its own: V1's parts would otherwise imitate a V1. All networks start from the
backbone of the same trained V1. ``python -m harness.ablate`` chooses the networks.
"""

from dataclasses import replace

from harness.core.training import DistillConfig
from studies.scenes import STUDY as SCENES

STUDY = replace(
    SCENES,
    name="ablation_v1_v2",
    description="V1's parts exchanged for V2's, trained alike on synthetic scenes at 128 pixels",
    space="v1_to_v2",
    distill=DistillConfig(alpha=0.0),
    trials=0,
    sharing=None,
    references=("v2-alone",),
    seeds=3,
)
