"""``Scores``: everything that was measured, in one JSON file: full trainings from the table, scores and their costs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.core.record import write_json
from harness.errors import DataError

VERSION = 1
"""Version of the file's form, and of what a score is: increment it when either changes."""


@dataclass(frozen=True)
class Candidate:
    """A network of the table: parameters, MACs, and mean search AP after each of its full trainings, by seed."""

    params: int
    macs: int
    aps: list[float]

    @property
    def ap(self) -> float:
        """The mean over the seeds."""
        return sum(self.aps) / len(self.aps)


@dataclass(frozen=True)
class Score:
    """One score of all candidates.

    Attributes:
        values: candidate → score, higher means better; None where there is none, for example after divergence.
        shares: timed candidate → what its score costs, as a share of its full training.
        once: timed candidate → what serves all candidates and is computed once, as a multiple of its full training.
        detail: in words, what the settings are here.
    """

    values: dict[str, float | None]
    shares: dict[str, float]
    once: dict[str, float] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True)
class Full:
    """The full training of a timed candidate: steps, an evaluation's time in steps, and seconds of both on one core."""

    steps: int
    evaluation: float
    seconds: float


@dataclass(frozen=True)
class Scores:
    """The scores of some networks of a table.

    Attributes:
        key: digest of what decides the values; a file with another key is not continued.
        table: facts on the table, as plain data.
        seeds: seeds of the full trainings, ascending.
        candidates: label → network.
        full: label → full training, for the timed candidates.
        scores: name → score; ``seed``: the seed of all scores, 0 before the first.
        teacher: digest of the teacher's weights.
        provenance: of every run that measured a score.
        command: the command that measures them.
    """

    key: str
    table: dict[str, Any]
    seeds: list[int]
    candidates: dict[str, Candidate]
    full: dict[str, Full] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    seed: int = 0
    teacher: str = ""
    provenance: list[dict[str, Any]] = field(default_factory=list)
    command: str = ""

    def with_score(self, name: str, score: Score, order: Sequence[str]) -> "Scores":
        """Return these scores with one more, in the order of names."""
        found = {**self.scores, name: score}
        return replace(self, scores={each: found[each] for each in order if each in found})

    def save(self, path: Path) -> None:
        """Write everything atomically.

        Raises:
            OSError: the disk is full or not writable; an earlier file is unchanged.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"version": VERSION, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> "Scores":
        """Read what ``save`` wrote.

        Raises:
            DataError: it is not such a file, or one of another version.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = content.pop("version")
            if version != VERSION:
                raise DataError(f"{path} has scores of version {version}, not {VERSION}: move it away")
            return cls(**content | {name: _each(content[name], kind) for name, kind in _PARTS.items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} is not a readable file of scores: {error!r}; move it away") from error


_PARTS: Mapping[str, Any] = {"candidates": Candidate, "full": Full, "scores": Score}


def _each(content: Mapping[str, Any], kind: Any) -> dict[str, Any]:
    return {name: kind(**value) for name, value in content.items()}
