"""A network's landmark error as text, for all tables, notes and terminal output."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from harness.evaluation.stats import spread

NOTHING = "–"

CAPTION = (
    "Landmark NME: mean distance of the five points from the annotated ones, in % of the face's size √(w·h), over the "
    "faces matched by a detection (IoU 0.5 or more). “Matched” counts these among all faces with annotated landmarks. "
    "WIDER FACE's validation images have none: there, these are training images that no network was trained on."
)

Error = Mapping[str, Any]
"""As ``evaluation.landmarks.landmark_error`` returns it."""


def nme(errors: Sequence[Error]) -> str:
    """Return the NME in % of one network's trainings, ± their standard deviation."""
    values = [error["nme"] for error in errors if error and error["nme"] is not None]
    over_seeds = spread(values)
    return (
        f"{100 * mean(values):.1f}{'' if over_seeds is None else f' ± {100 * over_seeds:.1f}'}" if values else NOTHING
    )


def matched(errors: Sequence[Error]) -> str:
    """Return how many of all faces with landmarks one network's trainings matched, as text."""
    known = [error for error in errors if error]
    if not known:
        return NOTHING
    few, many = (pick(error["matched"] for error in known) for pick in (min, max))
    return f"{few:,}{'' if few == many else f'–{many:,}'} of {known[0]['faces']:,}"


def cell(errors: Sequence[Error]) -> str:
    """Return NME and matched faces as one text."""
    return f"{nme(errors)} (matched {matched(errors)})" if any(errors) else NOTHING


def by_size(error: Error) -> str:
    """Return the NME by face size, in one line."""
    return ", ".join(f"{size} {_one(group)}" for size, group in error["by_size"].items())


def interocular(error: Error) -> str:
    """Return the NME as a share of the distance between the eyes."""
    return f"interocular NME (eyes at least 10 px apart): {_one(error['interocular'])}"


def _one(group: Error) -> str:
    value = NOTHING if group["nme"] is None else f"{100 * group['nme']:.1f} %"
    return f"{value} (matched {group['matched']:,} of {group['faces']:,})"
