"""Candidates trained long on WIDER FACE without a teacher, against which shorter schedules are held. Needs ``--data``.

The same command with ``--epochs N --name NAME`` trains the same candidates with another schedule, and ``python -m
harness.compare`` says how far the two orders agree. The first candidate was the best student of an earlier search.
"""

from dataclasses import replace

from studies.widerface_mini import STUDY as MINI

STUDY = replace(
    MINI,
    name="ranks_widerface",
    description="Candidates without a teacher, to compare schedules, on WIDER FACE at 320 pixels. Needs --data",
    space="architectures",
    trials=8,
    enqueued=(
        {
            "attention.name": "cbam_plus",
            "attention.reduction": 32,
            "neck.channels": 28,
            "neck.repeats": 1,
            "neck.reduction_factor": 1,
            "neck_attention.name": "none",
            "context.name": "none",
            "shuffle.name": "shuffle_conv",
            "shuffle.groups": 1,
            "head.trunk": "conv",
            "head.per_level": False,
        },
    ),
    sampler="random",
    seeds=1,
)
