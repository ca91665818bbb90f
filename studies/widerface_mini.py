"""WIDER FACE on two CPU cores: V2 with and without its teacher, and a search. Needs ``--data`` and a trained backbone.

The schedule is that of ``widerface_long``. Candidates are trained for as many epochs as the references: ranked after 3
or 8 epochs, candidates have another order than after 25 (``reports/ranks_widerface/``). Long trainings leave time for
few candidates.
"""

from dataclasses import replace

from studies.widerface_long import STUDY as LONG

STUDY = replace(
    LONG,
    name="widerface_mini",
    description="V2 with and without a teacher, and a search, on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    # Two networks' difference in mean AP has a standard error below a point: benchmarks/results/search_split.json.
    data=replace(LONG.data, search_images=700),
    train=replace(LONG.train, epochs=25, evaluate_every=5),
    trials=6,
)
