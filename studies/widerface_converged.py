"""V2 with and without a teacher for twice as many epochs as ``widerface_mini``. Needs ``--data``.

A taught student may need more epochs. Does it overtake V2 alone when both are trained until more does not help?
"""

from dataclasses import replace

from studies.widerface_long import STUDY as LONG
from studies.widerface_mini import STUDY as MINI

STUDY = replace(
    MINI,
    name="widerface_converged",
    description="V2 with and without a teacher, trained twice as long, on WIDER FACE at 320 pixels. Needs --data",
    space="v2_light",
    train=replace(MINI.train, epochs=50),
    distill=LONG.distill,
    trials=0,
    enqueued=(),
    references=("v2", "v2-alone"),
    seeds=1,
)
