"""The study ``default`` with longer schedules.

Of the schedules that ``reports/ranks_scenes/`` compares with 25 epochs, twelve epochs are the shortest one that ranks
candidates in a similar order. V1 is trained twice as long, because a teacher should be better than its students.
"""

from dataclasses import replace

from studies.default import STUDY as DEFAULT

STUDY = replace(
    DEFAULT,
    name="scenes",
    description="Like default, with schedules that rank candidates as longer ones do; takes longer",
    train=replace(DEFAULT.train, epochs=12, evaluate_every=4),
    teacher=replace(DEFAULT.teacher, epochs=24, evaluate_every=8),
)
