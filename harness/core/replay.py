"""Searches that were replayed on a table: what every trial brought, as plain data."""

from dataclasses import dataclass
from typing import Any

from harness.core.protocol import SAMPLERS
from harness.core.provenance import Provenance
from harness.core.space import Configuration

FEASIBLE = "feasible-"
"""Prefix of the samplers whose proposals are made by this harness; without it, Optuna searches by itself."""

_NOT_IN_OPTUNA = ("evolution",)

REPLAYED = {
    **{
        name: f"Optuna alone: {text.removesuffix(' over everything that fits the budget')}"
        for name, text in SAMPLERS.items()
        if name not in _NOT_IN_OPTUNA
    },
    **{f"{FEASIBLE}{name}": f"this harness's proposals with {name}" for name in SAMPLERS},
}
"""The searches that can be replayed, and what they are."""

NEW, REPEATED, WASTED = OUTCOMES = ("new", "repeated", "wasted")


@dataclass(frozen=True)
class Step:
    """One trial of a replayed search.

    Attributes:
        outcome: ``new``; ``repeated``: this search trained the configuration before; or ``wasted``: it exceeds the
            budget or cannot be built, so that it has no AP.
        costs: its values of the objectives other than AP; empty if there are none, or if wasted.
        aps: AP that the search was told after each epoch that it trained; empty if wasted.
        best: expected AP of the configuration that the search would choose after this trial, the one with the highest
            AP that it was told; None before the first.
        source: whether its AP comes from the ``table`` or the ``surrogate``; empty if wasted.
        stops: epoch after which early stopping ends the same training; None if it does not, or with one objective.
    """

    outcome: str
    costs: tuple[float, ...] = ()
    aps: tuple[float, ...] = ()
    best: float | None = None
    source: str = ""
    stops: int | None = None

    @property
    def epochs(self) -> int:
        """Number of epochs that it trained."""
        return len(self.aps)

    @property
    def seen(self) -> float | None:
        """AP after its last epoch; None if wasted."""
        return self.aps[-1] if self.aps else None


@dataclass(frozen=True)
class Replay:
    """One replayed search: its sampler, its seed, and its trials in order."""

    sampler: str
    seed: int
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Best:
    """The configuration with the highest expected AP of all that fit the budget, and where that AP comes from."""

    configuration: Configuration
    ap: float
    source: str


@dataclass(frozen=True)
class Simulation:
    """Replayed searches, and what they were replayed on.

    Attributes:
        table: ``space`` and its ``digest``, ``networks``, ``trainings``, ``wanted`` (trainings when complete),
            ``complete``, ``budget``, ``epochs``, ``protocol`` of the AP, digests of ``images`` and of the ``teacher``,
            version of the ``training`` code, ``commits`` that trained it, and its ``command``.
        feasible, size: number of configurations that fit the budget, and of all.
        surrogate: errors of its cross-validation.
        noise: standard deviations of one training's AP after the last epoch: ``seeds``, ``residual``.
        noisy: whether searches were told noisy APs.
        best: the best configuration.
        trials: trials of a search; ``pruner``: a name of ``PRUNERS``. With several objectives, searches ran without it,
            and it was applied to their trials afterwards.
        objectives: names of ``OBJECTIVES``; ``limits``: those other than AP at the reference point of the hypervolume.
        latencies: errors of latencies in cross-validation; empty if latency is no objective.
        replays: sampler → its searches, which have the seeds 0, 1, 2, ….
        provenance: what replayed them.
    """

    table: dict[str, Any]
    feasible: int
    size: int
    surrogate: dict[str, float]
    noise: dict[str, float]
    noisy: bool
    best: Best
    trials: int
    pruner: str
    objectives: tuple[str, ...]
    limits: tuple[float, ...]
    latencies: dict[str, float]
    replays: dict[str, list[Replay]]
    provenance: Provenance
