"""``Setting``: what the scores of one table have in common: candidates, protocol, workers and clocks."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cached_property

from benchmarks.scores.clock import Clock
from benchmarks.scores.data import Full
from benchmarks.scores.recipes import FULL, Recipe, recipes
from benchmarks.scores.trained import plan_of, trained
from benchmarks.scores.untrained import Untrained
from harness.core.arch import ArchConfig
from harness.core.digest import digest
from harness.core.record import TrialRecord
from harness.core.table import Network
from harness.data import load_split
from harness.search.plan import Plan
from harness.search.pool import Pool
from harness.search.progress import Progress
from harness.search.work import work
from harness.search.workers import Processes
from harness.training.job import Job


class Setting:
    """What the scores have in common. Whatever takes long is made when it is first needed.

    Args:
        plan: the protocol of the full training, with the seed of all scores and with shared weights.
        networks: the candidates.
        timed: labels of those whose costs are measured.
        workers: number of trainings at once.
        stack: ends the workers.
        quick: whether to time as little as possible.
        progress: shows what is done.

    Attributes:
        archs: label → architecture.
    """

    def __init__(
        self,
        plan: Plan,
        networks: Sequence[Network],
        timed: Sequence[str],
        workers: int,
        stack: ExitStack,
        *,
        quick: bool,
        progress: Progress,
    ) -> None:
        self.plan, self.progress = plan, progress
        self.archs = {network.label: ArchConfig.from_dict(network.arch) for network in networks}
        self._configurations = {network.label: network.configuration for network in networks}
        self._timed, self._count, self._stack, self._quick = timed, workers, stack, quick

    @cached_property
    def pool(self) -> Pool:
        """The workers."""
        pool = Processes(work, self._count, self.plan.threads)
        self._stack.callback(pool.close)
        pool.ready()
        return pool

    def job(self, label: str, plan: Plan) -> Job:
        """Return the training of a candidate."""
        return plan.job(plan.candidate(int(label), self._configurations[label]))

    @cached_property
    def any_job(self) -> Job:
        """The full training of one of the candidates."""
        return self.job(next(iter(self.archs)), self.plan)

    def train(self, plan: Plan, what: str, labels: Sequence[str] | None = None) -> dict[str, TrialRecord]:
        """Train candidates, by default all, and return label → record."""
        wanted = {label: self._configurations[label] for label in (self.archs if labels is None else labels)}
        return trained(plan, what, wanted, lambda: self.pool, self.progress)

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """Name → the training that it stands for."""
        config = self.plan.config
        train, search = (load_split(config.data, split, self.plan.cache) for split in ("train", "search"))
        return recipes(config, len(train), int(search.shapes.max()))

    def plan_of(self, name: str) -> Plan:
        """Return the plan of the trainings called ``name``."""
        return plan_of(self.plan, name, self.recipes[name], self.progress)

    @cached_property
    def sharing(self) -> Plan:
        """The plan with a folder of its own for the shared weights, since other settings lead to other weights."""
        config = self.plan.config.sharing
        assert config is not None, "the plan has shared weights"
        return replace(self.plan, folder=self.plan.folder / f"shared-{digest(asdict(config))}")

    @cached_property
    def untrained(self) -> Untrained:
        """What computes the proxies."""
        return Untrained(self.any_job)

    @cached_property
    def _full_plan(self) -> Plan:
        return self.plan_of(FULL)

    @cached_property
    def _full_records(self) -> dict[str, TrialRecord]:
        records = self.train(self._full_plan, "the full schedule", self._timed)
        return {label: record for label, record in records.items() if record.state == "complete"}

    @cached_property
    def clocks(self) -> dict[str, Clock]:
        """Label → clock, for the timed candidates. They are trained in full for this, unless that diverges."""
        return {
            label: Clock(self.job(label, self._full_plan), quick=self._quick, progress=self.progress)
            for label in self._full_records
        }

    @cached_property
    def shared_weights(self) -> dict[str, float]:
        """Label → what training the shared weights takes, as a multiple of the full training, for the timed ones."""
        return {label: clock.shared(self.sharing.shared) / clock.full for label, clock in self.clocks.items()}

    @property
    def full(self) -> dict[str, Full]:
        """Label → full training, for the timed candidates."""
        seconds = {label: record.seconds for label, record in self._full_records.items()}
        return {
            label: Full(clock.steps, clock.evaluation, seconds[label]["train"] + seconds[label]["evaluate"])
            for label, clock in self.clocks.items()
        }
