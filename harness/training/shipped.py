"""Teachers that come with the harness, so that not everybody trains the same one again.

``python -m harness.teacher --publish NAME`` trains a study's teacher and writes it to ``harness/weights``. A study
whose teacher would be trained in the same way on the same images reads it from there. Processors round differently:
with one teacher for all of them, a study's results differ less from machine to machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.record import TrialRecord
from harness.models.weights import read_label, write_labelled

FOLDER = Path(__file__).parent.parent / "weights"

_KEPT = ("label", "seed", "params", "arch", "train", "search_ap", "ap", "search_protocol", "protocol", "provenance")
_CURVES = ("epoch", "losses", "ap", "lr", "seconds")
_DIGITS = 4


@dataclass(frozen=True)
class Shipped:
    """A teacher that comes with the harness.

    Attributes:
        path: its weights file.
        epochs: its training, one dict per epoch; the APs are those on the study's search split, or missing.
        provenance: what trained it.
    """

    path: Path
    epochs: list[dict[str, Any]]
    provenance: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """Return the file's path in the repository."""
        return f"{FOLDER.parent.name}/{FOLDER.name}/{self.path.name}"


def find_shipped(recipe: str, search: str) -> Shipped | None:
    """Return the teacher that was trained by a recipe; None if there is none.

    Args:
        recipe: digest of everything that decides a training but the machine.
        search: digest of the study's search split.

    Raises:
        DataError: a weights file is unreadable.
    """
    for path in sorted(FOLDER.glob("*.safetensors")):
        label = read_label(path)
        if label.get("recipe") == recipe:
            same = label["search_protocol"]["val_digest"] == search
            epochs = [epoch if same else epoch | {"ap": {}} for epoch in label["epochs"]]
            return Shipped(path, epochs, label["provenance"])
    return None


def ship(weights: Path, record: TrialRecord, name: str, command: str) -> Path:
    """Write a trained teacher to ``harness/weights/NAME.safetensors`` and return its path.

    Args:
        weights: its weights.
        record: its record; the header gets its recipe, losses and APs by epoch, protocols and provenance.
        name: without a suffix.
        command: makes it again.

    Raises:
        OSError: the folder is not writable.
    """
    path = FOLDER / f"{name}.safetensors"
    epochs = [{key: _short(epoch[key]) for key in _CURVES} for epoch in record.epochs]
    known = {key: getattr(record, key) for key in _KEPT}
    path.parent.mkdir(exist_ok=True)
    write_labelled(weights, path, known | {"recipe": record.training, "epochs": epochs, "command": command})
    return path


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _short(one) for key, one in value.items()}
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
