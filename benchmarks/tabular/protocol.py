"""What the networks of the table have in common, and which networks these are."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.core.data import DataConfig
from harness.core.names import load_study
from harness.core.protocol import StudyConfig
from harness.core.space import Configuration
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.search.candidates import identity

SPACE = "architectures"
FOLDER = "PATH/TO/WIDERFACE"
"""Stands in a table for the folder of its images, because a table has no paths of a machine."""

REFERENCE = "v2"
"""Trained like the others. It is the base of the space, and exceeds the budget by 8 parameters."""

DRAWS = 0
"""Seed of the draws."""


def protocol(
    name: str, configurations: int, seeds: int, data: Path | None = None, evaluate_every: int = 1
) -> StudyConfig:
    """Return the protocol of a study, for networks of ``SPACE``.

    Args:
        name: the study.
        configurations: number of networks that are drawn.
        seeds: number of trainings of each network.
        data: folder of a WIDER FACE copy, for a study of such images.
        evaluate_every: epochs between two evaluations.

    Raises:
        InputError: there is no such study, or it needs other images.
    """
    study = load_study(name)
    return replace(
        study,
        name="tabular",
        description="Networks of a tabular benchmark",
        space=SPACE,
        data=located(study.data, data, f"study '{name}'"),
        train=replace(study.train, evaluate_every=evaluate_every),
        trials=configurations,
        sampler="random",
        pruner="none",
        sharing=None,
        references=(REFERENCE,),
        seeds=seeds,
    )


def located(config: DataConfig, folder: Path | None, what: str) -> DataConfig:
    """Return the settings of images with the folder where they are on this machine.

    Args:
        config: of a study or of a table.
        folder: a WIDER FACE copy; None for generated scenes.
        what: the study or table in words.

    Raises:
        InputError: the folder is missing, or given for generated scenes.
    """
    if config.source == "synthetic":
        if folder is not None:
            raise InputError(f"{what} trains on generated scenes: leave out --data, or name another one")
        return config
    if folder is None:
        raise InputError(f"{what} trains on WIDER FACE images: give the folder of a copy with --data")
    if not folder.is_dir():
        raise InputError(f"--data: there is no folder {folder}; give the folder of a WIDER FACE copy")
    return replace(config, source=str(folder))


def portable(study: StudyConfig) -> StudyConfig:
    """Return a protocol without the folder of its images."""
    return study if study.data.source == "synthetic" else replace(study, data=replace(study.data, source=FOLDER))


def drawn(counts: SpaceCounts, study: StudyConfig) -> Iterator[Configuration]:
    """Yield the configurations: uniform draws from all that fit the budget, without repetition.

    More of them continue the same sequence. If fewer fit than are asked for, all are drawn.
    """
    rng = np.random.default_rng(DRAWS)
    seen: set[str] = set()
    while len(seen) < min(study.trials, counts.feasible(study.budget)):
        configuration = counts.sample(study.budget, rng)
        if identity(configuration) not in seen:
            seen.add(identity(configuration))
            yield configuration
