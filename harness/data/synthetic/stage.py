"""Arrangement of people in a scene: portraits, groups, crowds, streets and scattered faces."""

from dataclasses import dataclass

import numpy as np

from harness.data.synthetic.head import Pose
from harness.data.synthetic.tiles import chance, clamp, log_uniform

TALL = 1.95
"""Approximate height of an upright face's box, head units."""


@dataclass(frozen=True)
class Spot:
    """A person in a scene: the pose of the head, whether a body is drawn below it, and whether the body has legs."""

    pose: Pose
    body: bool
    standing: bool


def _pose(rng: np.random.Generator, x: float, y: float, height: float) -> Pose:
    kind = rng.random()
    if kind < 0.6:
        yaw = rng.normal(0, 0.28)
    elif kind < 0.86:
        yaw = rng.normal(0, 0.65)
    else:
        yaw = rng.choice((-1, 1)) * rng.uniform(0.9, 1.45)
    roll = rng.normal(0, 0.12) if chance(rng, 0.92) else rng.normal(0, 0.5)
    pitch = rng.normal(0.03, 0.2)
    return Pose(clamp(yaw, -1.45, 1.45), clamp(pitch, -0.7, 0.7), float(roll), x, y, height / TALL)


def arrange(side: int, rng: np.random.Generator) -> list[Spot]:
    """Return the people of a scene of ``side`` pixels, from far to near."""
    kind = rng.choice(5, p=(0.20, 0.24, 0.20, 0.22, 0.14))
    spots = (_portrait, _group, _crowd, _street, _scattered)[kind](side, rng)
    return sorted(spots, key=lambda spot: spot.pose.unit)


def _portrait(side: int, rng: np.random.Generator) -> list[Spot]:
    height = log_uniform(rng, 0.22, 0.85) * side
    x, y = side * rng.uniform(0.3, 0.7), side * rng.uniform(0.35, 0.6)
    spots = [Spot(_pose(rng, x, y, height), True, False)]
    for _ in range(int(rng.integers(0, 4))):
        far = log_uniform(rng, 0.055, 0.18) * side
        spots.append(Spot(_pose(rng, side * rng.random(), side * rng.uniform(0.1, 0.6), far), True, chance(rng, 0.4)))
    return spots


def _group(side: int, rng: np.random.Generator) -> list[Spot]:
    height = log_uniform(rng, 0.10, 0.34) * side
    rows = int(rng.integers(1, 3))
    spots = []
    top = side * rng.uniform(0.2, 0.5)
    for row in range(rows):
        pitch = height * rng.uniform(1.0, 1.7)
        wanted = min(int(rng.integers(2, 7)), max(1, int(1.1 * side / pitch)))
        left = side * rng.uniform(0.3, 0.7) - pitch * (wanted - 1) / 2
        for column in range(wanted):
            own = height * (1 + 0.12 * row) * float(np.exp(rng.normal(0, 0.1)))
            x = left + pitch * column + rng.normal(0, 0.12) * height
            y = top + row * height * rng.uniform(0.9, 1.4) + rng.normal(0, 0.2) * height
            spots.append(Spot(_pose(rng, x, y, own), True, chance(rng, 0.3)))
    return spots


def _crowd(side: int, rng: np.random.Generator) -> list[Spot]:
    far, near = log_uniform(rng, 0.045, 0.08), log_uniform(rng, 0.09, 0.20)
    top, bottom = rng.uniform(0.05, 0.45), rng.uniform(0.7, 1.05)
    spots = []
    for _ in range(int(rng.integers(7, 22))):
        depth = rng.random() ** 1.3
        height = side * (far + (near - far) * depth) * float(np.exp(rng.normal(0, 0.08)))
        y = side * (top + (bottom - top) * depth)
        spots.append(Spot(_pose(rng, side * rng.uniform(-0.02, 1.02), y, height), True, False))
    return spots


def _street(side: int, rng: np.random.Generator) -> list[Spot]:
    horizon = side * rng.uniform(0.2, 0.5)
    spots = []
    for _ in range(int(rng.integers(1, 6))):
        height = log_uniform(rng, 0.05, 0.30) * side
        y = horizon + rng.normal(0, 0.4) * height
        spots.append(Spot(_pose(rng, side * rng.uniform(0.02, 0.98), y, height), True, True))
    return spots


def _scattered(side: int, rng: np.random.Generator) -> list[Spot]:
    spots = []
    for _ in range(int(rng.integers(1, 6))):
        height = log_uniform(rng, 0.05, 0.6) * side
        x, y = rng.uniform(0, side, 2)
        spots.append(Spot(_pose(rng, float(x), float(y), height), chance(rng, 0.5), False))
    return spots
