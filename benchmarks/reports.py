"""Time of writing a study's report against the time of one training."""

from collections.abc import Iterator

from benchmarks.steps import v2_training
from benchmarks.timing import Case, Given, Variant
from harness.reporting import build_report

# A study's folder holds everything that the harness records; the tests keep the one planted folder in step with it.
from tests.reporting.fake_study import write_study


def cases(given: Given) -> Iterator[Case]:
    """Yield one case. The finding: time of a report over that of one student's training."""
    trials = 0 if given.quick else 12
    study = write_study(given.folder, trials=trials)
    yield Case(
        f"a study of {trials} trials",
        Variant("report", lambda: build_report(study)),
        v2_training(given),
        rounds=7,
    )
