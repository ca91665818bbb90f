"""Candidates scored with shared weights on synthetic scenes, and the best of them trained to the end.

The shared weights have the schedule of V1 with fewer epochs; how their scores compare with full trainings has not been
measured on enough candidates yet.
"""

from dataclasses import replace

from harness.core.protocol import SharingConfig
from studies.default import STUDY as DEFAULT

STUDY = replace(
    DEFAULT,
    name="shared_scenes",
    description="Candidates scored by shared weights on synthetic scenes at 128 pixels, the best trained to the end",
    space="architectures",
    trials=200,
    sharing=SharingConfig(train=replace(DEFAULT.teacher, epochs=16, backbone_lr=0.1)),
)
