"""The study ``default`` with longer schedules, about twenty minutes on two cores.

After four epochs, the order of candidates on scenes says little about that after 25. The shortest schedule measured
whose order agrees has twelve (``reports/ranks_scenes/``). V1 has twice as many, as a teacher should be ahead of its
students.
"""

from dataclasses import replace

from studies.default import STUDY as DEFAULT

STUDY = replace(
    DEFAULT,
    name="scenes",
    description="The study default with schedules long enough for a stable order; some twenty minutes on two cores",
    train=replace(DEFAULT.train, epochs=12, evaluate_every=4),
    teacher=replace(DEFAULT.teacher, epochs=24, evaluate_every=8),
)
