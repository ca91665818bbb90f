"""``StudyConfig``: everything that stays fixed while the candidates of a study vary.

Its parts are in ``budget``, ``data``, ``training`` and ``evaluation``. The classes are frozen. Their constructors
refuse settings that cannot be run; the error names the field, the value and what is accepted.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.core.ablation import Ablation
from harness.core.budget import Budget
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig, SpeedConfig
from harness.core.limits import check_name, require, require_bounded
from harness.core.training import DistillConfig, SharingConfig, TrainConfig
from harness.core.typed import built

RESERVED = ("cache", "exports", "mlartifacts", "predictions", "search_split", "sheets", "teachers")
"""Folders below ``runs/`` that are no studies."""

ALONE = "-alone"
"""Suffix of a reference's arch name: train it without a teacher."""

INHERITED = "-shared"
"""Suffix of the label of a reference that is trained from its slices of the study's shared weights."""

SAMPLERS = {
    "tpe": "tree-structured Parzen estimator (Optuna's default)",
    "random": "uniform over everything that fits the budget",
    "nsga2": "genetic algorithm NSGA-II",
    "evolution": "regularised evolution: mutates the best of a few recent trials",
    "gp": "Gaussian process",
}
PRUNERS = {
    "median": "stops a trial below the median of earlier ones at its epoch",
    "halving": "keeps the better half at epochs 1, 2, 4, …",
    "dominated": "stops a trial that a no more costly one beats, whatever it may gain; for several objectives",
    "none": "trains every trial to its end",
}
COMPARE_AP = ("median", "halving")
"""Pruners that compare one objective, AP."""

OBJECTIVES = ("ap", "params", "latency")


@dataclass(frozen=True)
class StudyConfig:
    """One study: a space searched under a budget by one protocol.

    Attributes:
        name: the study's name, and that of its folder under ``runs/``.
        space: name of a module of ``search_spaces``.
        trials: number of candidates.
        enqueued: configurations of the first candidates; the sampler proposes the others.
        sampler, pruner: names from ``SAMPLERS`` and ``PRUNERS``; ``median`` and ``halving`` compare one objective,
            ``dominated`` several.
        objectives: ``("ap",)`` or several of ``OBJECTIVES``; ``ap`` comes first.
        window: trial n is proposed from the results of trials 0 … n - window. Therefore at most ``window`` trials train
            at once, and the proposals do not depend on the number of workers.
        seed: study seed; every trial's sampler and training seed derive from it.
        from_scratch: students start from random backbone weights, not from trained ones.
        references: names of archs that are trained outside the search by the students' protocol; with the suffix
            ``-alone``, without a teacher.
        seeds: number of trainings of each reference and, after the search, of the best student, each with a different
            seed.
        sharing: how candidates are scored by shared weights, so that only the best of them are trained to the end; None
            trains all of them.
        ablation: networks that are trained and graded like the references, and compared; None for a study without any.
    """

    name: str
    description: str
    space: str
    budget: Budget = field(default_factory=Budget)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    teacher: TrainConfig = field(default_factory=TrainConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    evaluation: EvalConfig = field(default_factory=EvalConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    trials: int = 12
    enqueued: tuple[dict[str, Any], ...] = ()
    sampler: str = "tpe"
    pruner: str = "median"
    objectives: tuple[str, ...] = ("ap",)
    window: int = 4
    seed: int = 0
    from_scratch: bool = False
    references: tuple[str, ...] = ("v2",)
    seeds: int = 1
    sharing: SharingConfig | None = None
    ablation: Ablation | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "a study's name")
        require(
            self.name.lower() not in RESERVED,
            f"a study cannot be called '{self.name}': that folder holds something else; choose another --name",
        )
        require(self.description.isprintable(), f"a study's description is one line, got {self.description!r:.200}")
        require_bounded(self)
        require(
            self.sharing is None or self.pruner == "none",
            f"pruner '{self.pruner}' stops trainings, but candidates are scored: give --no-sharing, or --pruner none",
        )
        require(
            self.trials > 0 or (self.trials == 0 and bool(self.references or self.ablation)),
            f"trials must be positive, or 0 to train the references only, got {self.trials}",
        )
        require(self.seeds > 0, f"seeds must be positive, got {self.seeds}")
        require(self.window > 0, f"window must be positive, got {self.window}")
        require(self.sampler in SAMPLERS, f"unknown sampler '{self.sampler}' (known: {', '.join(SAMPLERS)})")
        require(self.pruner in PRUNERS, f"unknown pruner '{self.pruner}' (known: {', '.join(PRUNERS)})")
        require(
            bool(self.objectives)
            and self.objectives[0] == "ap"
            and set(self.objectives) <= set(OBJECTIVES)
            and len(set(self.objectives)) == len(self.objectives),
            f"objectives start with 'ap' and name each of {', '.join(OBJECTIVES)} at most once, "
            f"got '{','.join(self.objectives)}'",
        )
        require(
            len(self.objectives) == 1 or self.pruner not in COMPARE_AP,
            f"objectives {','.join(self.objectives)} cannot prune by '{self.pruner}', which compares AP only: "
            "use --pruner dominated or none",
        )
        require(
            len(self.objectives) > 1 or self.pruner != "dominated",
            "pruner 'dominated' compares several objectives: name them with --objectives, or use --pruner "
            f"{', '.join(COMPARE_AP)} or none",
        )

    @property
    def predicts_latency(self) -> bool:
        """Whether latency is an objective or bounded, so that it must be known before a training."""
        return "latency" in self.objectives or self.budget.max_latency_ratio is not None

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain data."""
        return asdict(self) | {"ablation": None if self.ablation is None else self.ablation.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "StudyConfig":
        """Rebuild from ``to_dict``'s form, also after a round trip through JSON.

        Raises:
            TypeError: a field is unknown, or has a value of another type.
            InputError: a value is not accepted.
        """
        parts: dict[str, Any] = {
            "budget": Budget,
            "data": DataConfig,
            "train": TrainConfig,
            "teacher": TrainConfig,
            "distill": DistillConfig,
            "evaluation": EvalConfig,
            "speed": SpeedConfig,
        }
        values: dict[str, Any] = {k: built(parts[k], value) if k in parts else value for k, value in data.items()}
        if values.get("sharing") is not None:
            train = built(TrainConfig, values["sharing"]["train"])
            values["sharing"] = built(SharingConfig, {**values["sharing"], "train": train})
        if values.get("ablation") is not None:
            values["ablation"] = Ablation.from_dict(values["ablation"])
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return built(cls, values | lists)
