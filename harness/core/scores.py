"""``scores.jsonl`` and ``shortlist.jsonl``: the candidates that a study scored, one line each, in that order."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.typed import built
from harness.errors import DataError

FILE, SHORTLIST = "scores.jsonl", "shortlist.jsonl"
"""Scores by shared weights; APs of the short list after one epoch of training."""

SHARED, EPOCHS = "shared", "epochs.json"
"""Folder of the shared weights in a study's folder, and its file with one dict per epoch of their training."""


@dataclass(frozen=True)
class Scored:
    """One candidate that was scored.

    Attributes:
        number: the trial's number.
        configuration: axis → value.
        params: its number of parameters.
        ap: easy, medium, hard and mean AP on the search split with its slices, or after one epoch from them; empty if
            scoring failed.
        reason: why scoring failed; otherwise empty.
        seconds: duration.
    """

    number: int
    configuration: dict[str, Any]
    params: int
    ap: dict[str, float | None] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0


def append_score(folder: Path, scored: Scored, name: str = FILE) -> None:
    """Append one line, which is on disk when this returns.

    Raises:
        OSError: the disk is full or not writable.
    """
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(asdict(scored), allow_nan=False)}\n")
        file.flush()
        os.fsync(file.fileno())


def load_scores(folder: Path, name: str = FILE, *, mend: bool = True) -> dict[int, Scored]:
    """Return number → candidate; empty if nothing was scored.

    A last line that was not written whole is left out, and with ``mend`` removed: not while another process may be
    writing it.

    Raises:
        DataError: another line is no score.
        OSError: the file cannot be read or mended.
    """
    path = folder / name
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if mend and whole < len(content):
        os.truncate(path, whole)
    found: dict[int, Scored] = {}
    for place, line in enumerate(content[:whole].decode(errors="replace").splitlines(), start=1):
        try:
            scored = built(Scored, json.loads(line))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(f"{path}, line {place}, is no score: {error}") from error
        found[scored.number] = scored
    return found
