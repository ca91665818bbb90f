"""Bodies below heads, and hands in front of faces."""

import numpy as np

from harness.data.synthetic.head import Pose, render_solids
from harness.data.synthetic.layers import Layer
from harness.data.synthetic.light import Light
from harness.data.synthetic.person import Person
from harness.data.synthetic.solids import ellipsoids, rotation
from harness.data.synthetic.tiles import Array, any_colour, chance

CLOTH, FLESH, TROUSERS = range(3)


def cloth_pattern(rng: np.random.Generator) -> Array | None:
    """Return a small (h, w, 3) pattern that multiplies a garment's colour, or None for plain cloth."""
    kind = rng.random()
    if kind < 0.5:
        return None
    tile = np.ones((24, 24, 3), dtype=np.float32)
    other = np.float32(rng.uniform(0.3, 1.3, 3))
    if kind < 0.65:
        tile[:: 2 if chance(rng, 0.4) else 6] = other
        tile[1::6] = other
    elif kind < 0.75:
        tile[:, :6] = other
    elif kind < 0.87:
        tile[:6] *= other
        tile[:, :6] *= other
    else:
        tile[:] = rng.uniform(0.6, 1.2, (6, 6, 3)).astype(np.float32).repeat(4, axis=0).repeat(4, axis=1)
    return tile


def render_body(
    person: Person, pose: Pose, light: Light, rng: np.random.Generator, side: int, standing: bool
) -> Layer | None:
    """Return neck, shoulders and arms (and legs if ``standing``) below the head at ``pose``; None outside the image."""
    slim = float(rng.uniform(0.85, 1.1)) * (1 - 0.3 * person.child)
    rows: list[tuple[float, ...]] = [
        (FLESH, 0, 1.15, -0.30, 0.40 * person.wide, 0.85, 0.42, -0.15),
        (CLOTH, 0, 2.25, -0.35, 1.62 * slim, 0.58, 0.62),
        (CLOTH, 0, 3.4, -0.30, 1.28 * slim, 1.8, 0.72),
    ]
    lean = float(rng.normal(0, 0.12))
    for sign in (-1, 1):
        rows.append((CLOTH, sign * 1.45 * slim, 3.3, -0.25, 0.38, 1.45, 0.42, 0.0, -sign * 0.1 + lean))
        if standing:
            rows.append((FLESH, sign * 1.60 * slim, 5.0, -0.2, 0.22, 0.5, 0.25))
            rows.append((TROUSERS, sign * (0.45 + 0.1 * rng.random()), 7.4, -0.3, 0.58 * slim, 3.2, 0.5))
    turn = rotation(0.5 * pose.yaw, 0.0, 0.35 * pose.roll)
    palette = [any_colour(rng, 0.8), person.skin, any_colour(rng, 0.5)]
    place = (pose.x, pose.y, pose.unit)
    return render_solids(ellipsoids(rows).turned(turn), palette, place, light, rng, 0.03, cloth_pattern(rng), side)


def render_hand(
    person: Person, place: tuple[float, float, float], light: Light, rng: np.random.Generator
) -> Layer | None:
    """Return a hand (palm, fingers, sometimes a sleeve) at ``place``: x, y in pixels, and pixels per head unit."""
    rows: list[tuple[float, ...]] = [(0, 0, 0, 0, 0.36, 0.42, 0.16)]
    spread = rng.uniform(0.04, 0.22)
    curl = rng.uniform(0.3, 1.0)
    for finger in range(4):
        across = (finger - 1.5) * 0.19
        tilt = (finger - 1.5) * spread
        length = (0.40, 0.46, 0.44, 0.34)[finger] * curl
        rows.append((0, across + np.sin(tilt) * length, -0.38 - length * 0.8, 0.05, 0.085, length, 0.09, 0.0, tilt))
    rows.append((0, 0.45, -0.12, 0.08, 0.10, 0.33, 0.1, 0.0, 0.7))
    rows.append((1 if chance(rng, 0.6) else 0, 0, 1.2, -0.05, 0.33, 1.0, 0.26))
    turn = rotation(rng.normal(0, 0.6), rng.normal(0, 0.3), rng.uniform(-np.pi, np.pi))
    return render_solids(ellipsoids(rows).turned(turn), [person.skin, any_colour(rng, 0.8)], place, light, rng, 0.15)
