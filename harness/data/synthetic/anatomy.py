"""A person's head as a union of ellipsoids, and the positions of its facial features.

The surface is unrolled around the vertical axis at depth ``AXIS``: ``a`` = angle × ``ROUND``, ``v`` = height. A place
(a, v) is the outermost surface point at that angle and height. Features are painted at places, so each landmark is
exactly where its feature is painted.
"""

import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.person import Person
from harness.data.synthetic.solids import Solids, ellipsoids, reach

SKIN, EAR, HAIR, HAT, BEARD, NECK = range(6)
"""Labels of a head's solids: their materials."""

AXIS = -0.1
"""Depth of the vertical axis around which the surface is unrolled."""

ROUND = 0.68
"""Radius that turns an angle around the axis into a length along the face."""

FACE_EDGE = 0.90
"""Largest |a| of the face, just in front of the ears."""

EYE_A, EYE_V = 0.275, -0.17
NOSE_V, MOUTH_V = 0.27, 0.60


def jaw_drop(person: Person) -> float:
    """Return how far the open mouth lowers the chin, head units."""
    return 0.16 * min(person.open, 1.0)


def places(person: Person) -> dict[str, tuple[float, float]]:
    """Return (a, v) of the five landmarks, left and right as the viewer sees them."""
    eye_a = EYE_A * (1 + 0.06 * person.child)
    eye_v = EYE_V + 0.10 * person.child
    corner = 0.235 * person.mouth * (1 + 0.22 * max(person.smile, 0.0) - 0.18 * min(person.open, 1.0))
    mouth_v = mouth_height(person) - 0.07 * person.smile + 0.25 * jaw_drop(person)
    return {
        "left_eye": (-eye_a, eye_v),
        "right_eye": (eye_a, eye_v),
        "nose": (0.0, nose_height(person)),
        "left_mouth": (-corner, mouth_v),
        "right_mouth": (corner, mouth_v),
    }


def nose_height(person: Person) -> float:
    """Return v of the tip of the nose."""
    return EYE_V + 0.10 * person.child + (NOSE_V - EYE_V) * person.nose_length


def mouth_height(person: Person) -> float:
    """Return v of the line between the closed lips."""
    return MOUTH_V + 0.02 * person.child + 0.25 * (nose_height(person) - NOSE_V)


def head_solids(person: Person) -> Solids:
    """Return the head with hair, hat and beard."""
    w, j, n = person.wide, person.jaw, person.nose
    drop = jaw_drop(person)
    tip = nose_height(person)
    cheeks = 0.26 + 0.05 * person.child + 0.03 * max(person.smile, 0)
    rows: list[tuple[float, ...]] = [
        (SKIN, 0, -0.38, -0.25, 0.76 * w, 0.94, 0.98),
        (SKIN, 0, 0.08, -0.04, 0.69 * w, 0.86, 0.74),
        (SKIN, 0, 0.34 + 0.4 * drop, 0.0, 0.57 * w * j, 0.62 + 0.5 * drop, 0.66),
        (SKIN, 0, 0.80 + drop, 0.46, 0.22 * j, 0.19, 0.19),
        (SKIN, -0.37 * w, 0.17, 0.36, cheeks, 0.27, 0.26),
        (SKIN, 0.37 * w, 0.17, 0.36, cheeks, 0.27, 0.26),
        (SKIN, 0, -0.31, 0.52, 0.46 * w, 0.13, 0.19),
        (SKIN, 0, 0.56 + 0.3 * drop, 0.55, 0.29, 0.22, 0.17),
        (SKIN, 0, (tip - 0.25) / 2, 0.70, 0.085 * n, 0.36 * person.nose_length, 0.15, 0.28),
        (SKIN, 0, tip, 0.80, 0.125 * n, 0.105, 0.15 * n),
        (SKIN, -0.115 * n, tip + 0.03, 0.70, 0.085 * n, 0.075, 0.12),
        (SKIN, 0.115 * n, tip + 0.03, 0.70, 0.085 * n, 0.075, 0.12),
        (NECK, 0, 1.05, -0.22, 0.40 * w, 0.60, 0.36, -0.15),
    ]
    hat = person.hat
    if hat not in ("hood", "scarf", "helmet"):
        rows += [
            (EAR, -0.76 * w, -0.02, -0.16, 0.085, 0.25, 0.15, 0.15, 0.12),
            (EAR, 0.76 * w, -0.02, -0.16, 0.085, 0.25, 0.15, 0.15, -0.12),
        ]
    if hat in ("none", "band", "cap", "brim"):
        rows += _hair(person, under_hat=hat in ("cap", "brim"))
    elif hat == "beanie" and "long" in person.style:
        rows += _locks(w)
    rows += _hat(person)
    if person.beard == "long":
        rows += [(BEARD, 0, 0.95, 0.32, 0.42 * w, 0.42, 0.34), (BEARD, 0, 0.55, 0.16, 0.58 * w * j, 0.42, 0.50)]
    return ellipsoids(rows)


def _locks(w: float) -> list[tuple[float, ...]]:
    return [
        (HAIR, -0.70 * w, 0.35, -0.28, 0.24, 1.05, 0.42, 0.0, 0.06),
        (HAIR, 0.70 * w, 0.35, -0.28, 0.24, 1.05, 0.42, 0.0, -0.06),
        (HAIR, 0, 0.25, -0.72, 0.72 * w, 1.15, 0.36),
    ]


def _hair(person: Person, under_hat: bool) -> list[tuple[float, ...]]:
    w, style = person.wide, person.style
    cap = (HAIR, 0.0, -0.50, -0.38, 0.87 * w, 0.98, 1.0)
    if style == "bald":
        return []
    if style == "receding":
        return [(HAIR, 0, -0.30, -0.52, 0.86 * w, 0.85, 0.80)]
    if style == "crop":
        return [(HAIR, 0, -0.47, -0.34, 0.80 * w, 0.92, 0.95)]
    rows: list[tuple[float, ...]] = [cap]
    if style == "side" and not under_hat:
        rows += [(HAIR, 0.22, -1.02, 0.18, 0.60, 0.33, 0.52, 0.0, 0.25), (HAIR, -0.62 * w, -0.75, 0.0, 0.26, 0.40, 0.5)]
    if style in ("fringe", "long_fringe") and not under_hat:
        rows += [(HAIR, 0, -0.84, 0.20, 0.74 * w, 0.40, 0.60)]
    if style in ("long", "long_fringe"):
        rows += _locks(w)
    if style == "bob":
        rows += [
            (HAIR, -0.74 * w, 0.05, -0.15, 0.22, 0.75, 0.50),
            (HAIR, 0.74 * w, 0.05, -0.15, 0.22, 0.75, 0.50),
            (HAIR, 0, 0.0, -0.6, 0.78 * w, 0.85, 0.45),
        ]
    if style == "afro" and not under_hat:
        rows += [(HAIR, 0, -0.55, -0.42, 1.22, 1.18, 1.06)]
    if style == "bun" and not under_hat:
        rows += [(HAIR, 0, -1.55, -0.55, 0.36, 0.32, 0.36)]
    return rows


def _hat(person: Person) -> list[tuple[float, ...]]:
    w = person.wide
    if person.hat == "beanie":
        return [(HAT, 0, -0.60, -0.26, 0.90 * w, 1.02, 1.02), (HAT, 0, -0.62, -0.24, 0.95 * w, 0.22, 1.06, 0.12)]
    if person.hat == "cap":
        return [(HAT, 0, -0.66, -0.28, 0.90 * w, 0.92, 1.02), (HAT, 0, -0.70, 0.78, 0.66, 0.07, 0.70, 0.2)]
    if person.hat == "brim":
        return [(HAT, 0, -0.86, -0.28, 0.82 * w, 0.85, 0.92), (HAT, 0, -0.78, -0.2, 1.50, 0.09, 1.45, 0.08)]
    if person.hat == "helmet":
        return [(HAT, 0, -0.60, -0.28, 0.98 * w, 1.05, 1.10), (HAT, 0, -0.2, -0.45, 0.92 * w, 0.8, 0.7)]
    if person.hat in ("hood", "scarf"):
        fuller = 1.12 if person.hat == "hood" else 1.0
        return [
            (HAT, 0, -0.45, -0.42, 0.92 * w * fuller, 1.05 * fuller, 1.0),
            (HAT, 0, 0.42, -0.48, 0.86 * w * fuller, 1.0, 0.72),
            (HAT, 0, 1.36, -0.02, 0.60, 0.40, 0.5),
        ]
    return []


def surface_points(solids: Solids, spots: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Return the x, y, z (N, 3), head units, of N places (a, v) on the head."""
    places = np.array(spots)
    angle = places[:, 0] / ROUND
    zero = np.zeros(len(spots))
    origins = np.stack([zero, places[:, 1], zero + AXIS], axis=1)
    directions = np.stack([np.sin(angle), zero, np.cos(angle)], axis=1)
    return np.asarray(origins + reach(solids, origins, directions)[:, None] * directions)
