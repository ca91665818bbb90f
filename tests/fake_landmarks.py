"""Landmark errors as ``evaluation.landmarks`` returns them."""

from typing import Any


def landmark_error(nme: float | None, matched: int = 812) -> dict[str, Any]:
    """Return the error of a network that matched so many of 1,024 faces, 24 of them below 8 px and never matched."""
    missed = {"nme": None, "matched": 0, "faces": 24}
    large = {"nme": nme, "matched": matched, "faces": 1_000}
    between = {"nme": None if nme is None else 2 * nme, "matched": matched // 2, "faces": 600}
    return {
        "nme": nme,
        "matched": matched,
        "faces": 1_024,
        "failure_rate": None if nme is None else 0.1,
        "by_size": {"below 8 px": missed, "8–16 px": large},
        "interocular": between,
    }
