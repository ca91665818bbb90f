"""The protocol of a small ablation from V1 to V2 on a small WIDER FACE copy, without a teacher. Needs ``--data``.

The schedule is that of ``widerface_long`` with half of its epochs, so that ten networks can be trained on two cores.
"""

from dataclasses import replace

from harness.core.training import DistillConfig
from studies.widerface_long import STUDY as LONG

STUDY = replace(
    LONG,
    name="ablation_widerface",
    description="V1's parts exchanged for V2's, trained alike on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    space="v1_to_v2",
    train=replace(LONG.train, epochs=12, evaluate_every=12),
    distill=DistillConfig(alpha=0.0),
    references=("v2-alone",),
    seeds=2,
)
