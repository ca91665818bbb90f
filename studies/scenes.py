"""The study ``default`` with longer schedules.

Of the schedules that ``reports/ranks_scenes/`` compares with 25 epochs, twelve epochs are the shortest one that ranks
candidates in a similar order. The finalists are chosen from a short list, which is trained for an epoch.
"""

from dataclasses import replace

from studies.default import STUDY as DEFAULT

STUDY = replace(
    DEFAULT,
    name="scenes",
    description="Like default, with schedules that rank candidates as longer ones do; takes longer",
    train=replace(DEFAULT.train, epochs=12, evaluate_every=4),
    sharing=replace(DEFAULT.sharing, shortlist=24) if DEFAULT.sharing else None,
)
