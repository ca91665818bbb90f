"""Trains candidates by a recipe, several at once; what is trained already is read."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from benchmarks.scores.recipes import Recipe
from benchmarks.tabular.rows import ENDED
from benchmarks.tabular.trainings import Trainings, resumed
from harness.core.record import TrialRecord
from harness.core.space import Configuration
from harness.data import load_split
from harness.evaluation.protocol import ap_protocol
from harness.search.plan import Plan
from harness.search.pool import Pool
from harness.search.progress import Progress


def plan_of(plan: Plan, name: str, recipe: Recipe, progress: Progress) -> Plan:
    """Return the plan of a recipe's trainings, which are kept in a folder of its own."""
    train, search = (load_split(recipe.data, split, plan.cache, progress.stage) for split in ("train", "search"))
    return replace(
        plan,
        config=replace(plan.config, train=recipe.train, data=recipe.data),
        folder=plan.folder / name,
        images=(train.digest, search.digest),
        search_protocol=ap_protocol(search, plan.config.evaluation, recipe.data.eval_side),
    )


def trained(
    plan: Plan, what: str, candidates: Mapping[str, Configuration], pool: Callable[[], Pool], progress: Progress
) -> dict[str, TrialRecord]:
    """Train candidates with one seed each and return label → record.

    Args:
        plan: the recipe's.
        what: the recipe in words.
        candidates: label → configuration.
        pool: returns the workers; called if anything is left to train.
        progress: shows epochs and ended trainings.

    Raises:
        HarnessError, OSError: the environment failed; the same call resumes.
    """
    records = [resumed(plan.candidate(int(label), chosen), plan) for label, chosen in candidates.items()]
    if any(record.state not in ENDED for record in records):
        Trainings(plan, records, pool(), plan.job, progress, lambda: None, f"trainings with {what}").run()
    return {record.label: record for record in records}
