"""``tracking.json``: which MLflow run belongs to which trial of a study's folder.

The content of a run is always read from the server; this file only says which run it is. If the file or the runs are
lost, nothing is sent twice and no value is missing.
"""

import json
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.record import write_json
from harness.core.typed import built


@dataclass
class TrackingState:
    """The ids and times of one study folder at one tracking address.

    Attributes:
        study_id: identifies the study of this folder on any server, also on a shared one.
        uri: the tracking address, its secrets masked.
        experiment_id, parent: ids of the experiment and of the study's own run; empty until the server has answered.
        runs: label → run id.
        started, ended: label → milliseconds since 1970 when the trial was first seen, and when it ended; the empty
            label is the study itself.
        artifacts: ``label:path`` → digest of the names, sizes and times that were uploaded last; empty before that.
        model: label of the network that is registered as the study's model; empty before the study's end.
        model_sent: digest of its weights file's name, size and time when the model was uploaded; empty before that.
        sent: label → digest of the record that arrived; a trial whose record differs is sent again.
    """

    study_id: str = ""
    uri: str = ""
    experiment_id: str = ""
    parent: str = ""
    runs: dict[str, str] = field(default_factory=dict)
    started: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    model: str = ""
    model_sent: str = ""
    sent: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, uri: str) -> "TrackingState":
        """Read the file; return a new state if it is missing, broken or for another address.

        The study's id and its times are the same for every address.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            state = built(cls, {key: value for key, value in data.items() if key in cls.__dataclass_fields__})
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            state = cls()
        state.study_id = state.study_id or uuid.uuid4().hex
        if state.uri != uri:
            waiting = dict.fromkeys(state.artifacts, "")
            state = cls(
                state.study_id,
                uri,
                started=state.started,
                ended=state.ended,
                artifacts=waiting,
                model=state.model,
            )
        return state

    def save(self, path: Path) -> None:
        """Write the file atomically, for this user only: it holds the address."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(self), private=True)
