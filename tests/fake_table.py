"""Tables without training: the APs are planted."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from harness.core.arch import ARCHS
from harness.core.budget import Budget
from harness.core.names import load_space, load_study
from harness.core.space import Choice, Configuration, IntRange, SearchSpace
from harness.core.table import Network, Table, Trained
from harness.counting import SpaceCounts
from harness.models.costs import count_parts, macs
from harness.search.candidates import identity

SMALL = SearchSpace(
    name="small",
    description="some axes of v2_light, so that all configurations can be visited",
    base=ARCHS["v2"],
    axes=(
        Choice("attention.name", ("none", "eca")),
        IntRange("neck.channels", 24, 48, 4),
        IntRange("neck.repeats", 1, 3),
        Choice("neck_attention.name", ("none", "eca")),
        Choice("context.name", ("none", "conv3x3")),
        Choice("shuffle.name", ("none",)),
        Choice("head.trunk", ("none", "depthwise", "conv")),
        Choice("head.per_level", (False, True)),
    ),
)

EPOCHS = 3
SEEDS = (11, 22)


def gentle(configuration: Configuration) -> float:
    """An AP to which most axes add a little."""
    wide = float(configuration["neck.channels"]) / 48
    return 0.5 + 0.1 * wide + 0.02 * (configuration["attention.name"] == "eca") + 0.01 * bool(
        configuration["head.per_level"]
    )  # fmt: skip


def decided(configuration: Configuration) -> float:
    """An AP that one axis decides."""
    return 0.7 if configuration["neck.repeats"] == 3 else 0.5


def steady(_: Configuration) -> Sequence[float]:
    """Shares of the last AP after every epoch, which grow by the same amount."""
    return [epoch / EPOCHS for epoch in range(1, EPOCHS + 1)]


def table(
    space: SearchSpace | str = "architectures",
    ap: Callable[[Configuration], float] = gentle,
    networks: int = 40,
    noise: float = 0.01,
    seeds: tuple[int, ...] = SEEDS,
    shape: Callable[[Configuration], Sequence[float]] = steady,
) -> Table:
    """Return a table of configurations drawn like those of the real one, whose APs rise to ``ap`` over the epochs.

    Args:
        space: the space, or its name.
        ap: expected AP after the last epoch.
        networks: number of networks.
        noise: standard deviation of a training's AP.
        seeds: of the trainings of each network.
        shape: AP after every epoch as a share of the last one.
    """
    found = load_space(space) if isinstance(space, str) else space
    study = load_study("quick")
    config = replace(study, space=found.name, train=replace(study.train, epochs=EPOCHS))
    counts, rng = SpaceCounts(found), np.random.default_rng(1)
    drawn: dict[str, Configuration] = {}
    while len(drawn) < networks:
        configuration = counts.sample(config.budget, rng)
        drawn[identity(configuration)] = configuration
    return Table(
        space=found.name,
        space_digest=found.digest(),
        config=config,
        drawn={"configurations": networks, "seed": 1, "feasible": counts.feasible(Budget())},
        wanted=networks * len(seeds),
        images={"train": "a" * 12, "search": "b" * 12, "val": "c" * 12},
        search_protocol={"digest": "d" * 12, "images": 24, "faces": 60, "val_digest": "b" * 12},
        protocol={"digest": "e" * 12, "images": 24, "faces": 60, "val_digest": "c" * 12},
        teacher={"label": "v1", "digest": "f" * 12, "params": 487_103},
        training=5,
        threads=1,
        provenance=[{"commit": "0" * 40, "versions": {"python": "3.11"}, "machine": {"cpu": "planted", "cores": "2"}}],
        command="python -m benchmarks.tabular",
        complete=True,
        networks=tuple(
            _network(f"{number:04d}", configuration, found, ap(configuration), noise, seeds, shape(configuration), rng)
            for number, configuration in enumerate(drawn.values())
        ),
    )


def _network(
    label: str,
    configuration: Configuration,
    space: SearchSpace,
    ap: float,
    noise: float,
    seeds: tuple[int, ...],
    shape: Sequence[float],
    rng: np.random.Generator,
) -> Network:
    arch = space.arch(configuration)
    parts = count_parts(arch)
    return Network(
        label=label,
        configuration=configuration,
        arch=arch.to_dict(),
        params=sum(parts.values()),
        parts=parts,
        macs=sum(macs(arch, 64, 64).values()),
        feasible=True,
        trainings=tuple(_trained(seed, ap + noise * rng.standard_normal(), shape) for seed in seeds),
    )


def _trained(seed: int, ap: float, shape: Sequence[float]) -> Trained:
    aps: list[float | None] = [round(ap * share, 5) for share in shape]
    curves = dict.fromkeys(("easy", "medium", "hard", "mean"), aps)
    losses: dict[str, list[float | None]] = {"total": [1 / epoch for epoch in range(1, EPOCHS + 1)]}
    return Trained(seed, "complete", "", curves, curves, losses, [1.0] * EPOCHS)
