"""``tracking.json``: which study this folder is for a server, and which run each trial has there.

The server is the truth about what a run already holds; this file only says where to look, so that losing either of
them costs neither a duplicate nor a lost value.
"""

import json
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.record import write_json


@dataclass
class TrackingState:
    """What is remembered of one study folder at one tracking address.

    Attributes:
        study_id: identifies this folder's study on any server, also one shared with others.
        uri: the tracking address, without password.
        experiment_id, parent: ids given by the server; empty until it answered.
        runs: label → run id.
        started: label → milliseconds since the epoch when the trial was first seen.
        ended: label → the same for its end; ``""`` is the study itself.
        artifacts: ``label:path`` → what was last uploaded (a digest of names, sizes and times), empty if not yet.
        sent: label → digest of the record that arrived; what differs is pending.
    """

    study_id: str = ""
    uri: str = ""
    experiment_id: str = ""
    parent: str = ""
    runs: dict[str, str] = field(default_factory=dict)
    started: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, uri: str) -> "TrackingState":
        """Read the file, or start anew where it is missing, broken or about another address.

        The study's identity and times hold for every address.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            state = cls(**{key: value for key, value in data.items() if key in cls.__dataclass_fields__})
        except (OSError, ValueError, TypeError, AttributeError):
            state = cls()
        state.study_id = state.study_id or uuid.uuid4().hex
        if state.uri != uri:
            waiting = dict.fromkeys(state.artifacts, "")
            state = cls(state.study_id, uri, started=state.started, ended=state.ended, artifacts=waiting)
        return state

    def save(self, path: Path) -> None:
        """Write the file atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(self))
