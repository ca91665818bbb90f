"""Objects that are not faces: some stand in the scene, some hide faces, others are easily mistaken for faces."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.data.synthetic.head import Pose, render_head, render_solids
from harness.data.synthetic.layers import Layer
from harness.data.synthetic.light import Light
from harness.data.synthetic.person import SKINS, sample_person
from harness.data.synthetic.solids import ellipsoids, rotation
from harness.data.synthetic.sprite import Sprite
from harness.data.synthetic.tiles import CLOUDY, GRAINY, Colour, any_colour, chance, jitter, noise

Maker = Callable[[float, float, float, Light, np.random.Generator], Layer | None]
"""A function of x, y, approximate size (all in pixels), light and random generator that returns an object's layer."""


def _skin(rng: np.random.Generator) -> Colour:
    return jitter(rng, SKINS[int(rng.integers(len(SKINS)))], 0.04)


def ball(x: float, y: float, size: float, light: Light, rng: np.random.Generator) -> Layer | None:
    """A ball, plain or with patches."""
    patches: list[tuple[float, ...]] = [(0, 0, 0, 0, 1, 1, 1)]
    for _ in range(int(rng.integers(0, 5))):
        spot = rng.standard_normal(3)
        spot *= 0.9 / np.linalg.norm(spot)
        patches.append((1, *spot, 0.25, 0.25, 0.25))
    colours = [_skin(rng) if chance(rng, 0.4) else any_colour(rng, 0.9), any_colour(rng, 0.9)]
    return render_solids(ellipsoids(patches), colours, (x, y, size / 2), light, rng, float(rng.uniform(0, 0.8)))


def animal(x: float, y: float, size: float, light: Light, rng: np.random.Generator) -> Layer | None:
    """A furry head with a snout, two ears and two eyes: a dog, a bear, a toy."""
    long = rng.uniform(0.15, 0.7)
    ear_v = rng.uniform(-0.95, -0.3)
    rows: list[tuple[float, ...]] = [
        (0, 0, 0, 0, 0.85, 0.8, 0.8),
        (1, 0, 0.32, 0.55 + long / 2, 0.36, 0.3, 0.35 + long / 2),
        (2, 0, 0.2, 0.88 + long, 0.14, 0.10, 0.1),
    ]
    for sign in (-1, 1):
        rows += [
            (3, sign * 0.72, ear_v, -0.1, 0.25, rng.uniform(0.25, 0.55), 0.15, 0.0, sign * 0.4),
            (2, sign * 0.32, -0.12, 0.70, 0.10, 0.11, 0.1),
        ]
    fur = any_colour(rng, 0.5) if chance(rng, 0.4) else _skin(rng)
    colours = [fur, jitter(rng, fur, 0.12), (0.05, 0.05, 0.06), jitter(rng, fur, 0.1)]
    turn = rotation(rng.normal(0, 0.5), rng.normal(0, 0.2), rng.normal(0, 0.25))
    return render_solids(ellipsoids(rows).turned(turn), colours, (x, y, size / 2), light, rng, 0.05)


def back_of_head(x: float, y: float, size: float, light: Light, rng: np.random.Generator) -> Layer | None:
    """A head seen from behind."""
    person = sample_person(rng)
    if person.style == "bald" and chance(rng, 0.6):
        person = replace(person, style="crop")
    yaw = np.pi + rng.uniform(-0.75, 0.75)
    return render_head(person, Pose(yaw, rng.normal(0, 0.15), rng.normal(0, 0.1), x, y, size / 2), light, rng, 1)


def not_a_face(x: float, y: float, size: float, light: Light, rng: np.random.Generator) -> Layer | None:
    """A head whose features are upside down, blurred or misplaced: a dummy, a bad statue."""
    person = replace(sample_person(rng), wear="none")
    if chance(rng, 0.5):
        person = replace(person, style="bald", hat="none")
    pose = Pose(rng.normal(0, 0.4), rng.normal(0, 0.2), rng.normal(0, 0.15), x, y, size / 2)
    return render_head(person, pose, light, rng, int(rng.integers(3)))


def limb(x: float, y: float, size: float, light: Light, rng: np.random.Generator) -> Layer | None:
    """Bare skin: an arm, a knee, a fist."""
    rows = []
    for _ in range(int(rng.integers(1, 4))):
        radii = rng.uniform(0.25, 1.0, 3)
        rows.append((0, *rng.normal(0, 0.35, 3), *radii, 0.0, rng.uniform(-1.5, 1.5)))
    return render_solids(ellipsoids(rows), [_skin(rng)], (x, y, size / 2), light, rng, 0.2)


def plate(x: float, y: float, size: float, _: Light, rng: np.random.Generator) -> Layer | None:
    """A disc with spots, but not where a face has them: plates, buttons, dials, sockets."""
    sprite = Sprite(size * 1.3, size * 1.3)
    middle = size * 0.65
    base = _skin(rng) if chance(rng, 0.6) else any_colour(rng, 0.7)
    rx, ry = size * rng.uniform(0.36, 0.5), size * rng.uniform(0.4, 0.6)
    sprite.oval(middle, middle, rx, ry, base)
    if chance(rng, 0.5):
        sprite.oval(middle, middle, rx * 0.8, ry * 0.8, jitter(rng, base, 0.1))
    dark: Colour = jitter(rng, (0.12, 0.12, 0.14), 0.08)
    angle = rng.uniform(0.25, 2 * np.pi - 0.25)
    for spot in range(int(rng.integers(1, 6))):
        t = angle + spot * rng.uniform(0.5, 2.2)
        far = rng.uniform(0.15, 0.65)
        px, py = middle + rx * far * np.sin(t), middle + ry * far * np.cos(t)
        sprite.oval(px, py, size * rng.uniform(0.03, 0.12), size * rng.uniform(0.02, 0.08), dark, rng.uniform(0, 3))
    sprite.grain(1 + 0.06 * noise(rng, CLOUDY, sprite.height, sprite.width))
    return sprite.layer(x, y)


def clock(x: float, y: float, size: float, _: Light, rng: np.random.Generator) -> Layer | None:
    """A round clock with marks and hands."""
    sprite = Sprite(size + 2, size + 2)
    middle, radius = size / 2 + 1, size / 2
    rim = any_colour(rng, 0.6)
    sprite.oval(middle, middle, radius, radius, rim)
    sprite.oval(middle, middle, radius * 0.88, radius * 0.88, jitter(rng, (0.85, 0.88, 0.9), 0.08))
    for mark in range(12):
        t = mark * np.pi / 6
        sx, sy = np.sin(t) * radius, np.cos(t) * radius
        sprite.line(
            middle + 0.7 * sx, middle + 0.7 * sy, middle + 0.82 * sx, middle + 0.82 * sy, size * 0.03, (0.1,) * 3
        )
    for length in (0.45, 0.7):
        t = rng.uniform(0, 2 * np.pi)
        tip = middle + length * radius * np.sin(t), middle + length * radius * np.cos(t)
        sprite.line(middle, middle, *tip, size * 0.04, (0.08, 0.08, 0.1))
    return sprite.layer(x, y)


def textile(x: float, y: float, size: float, _: Light, rng: np.random.Generator) -> Layer | None:
    """A cloth, a poster or a rug with a regular pattern of ovals, diamonds or strokes."""
    width, height = size * rng.uniform(0.8, 2.2), size * rng.uniform(0.8, 2.2)
    sprite = Sprite(width, height)
    sprite.box(0, 0, width, height, any_colour(rng, 0.8))
    pitch = max(3.0, size * rng.uniform(0.15, 0.5))
    first, second = any_colour(rng, 0.9), _skin(rng)
    kind = int(rng.integers(3))
    for row in np.arange(pitch / 2, height, pitch):
        for column in np.arange(pitch / 2, width, pitch):
            if kind == 0:
                sprite.oval(column, row, pitch * 0.32, pitch * 0.4, second)
                sprite.oval(column, row, pitch * 0.12, pitch * 0.15, first)
            elif kind == 1:
                d = pitch * 0.4
                sprite.polygon([(column - d, row), (column, row - d), (column + d, row), (column, row + d)], first)
            else:
                sprite.line(column - pitch * 0.3, row, column + pitch * 0.3, row + pitch * 0.1, pitch * 0.2, first)
    sprite.grain(1 + 0.08 * noise(rng, CLOUDY, sprite.height, sprite.width))
    return sprite.layer(x, y, rng.normal(0, 0.15))


def crate(x: float, y: float, size: float, _: Light, rng: np.random.Generator) -> Layer | None:
    """A box, a sign, a phone: a rectangle with a border, strokes like text, or a window."""
    width, height = size * rng.uniform(0.4, 1.6), size * rng.uniform(0.4, 1.6)
    sprite = Sprite(width, height)
    base = any_colour(rng, 0.8)
    sprite.box(0, 0, width, height, base)
    edge = min(width, height) * 0.08
    if chance(rng, 0.6):
        sprite.box(edge, edge, width - edge, height - edge, jitter(rng, base, 0.15))
    ink = any_colour(rng, 0.5)
    for line in range(int(rng.integers(0, 5))):
        top = height * (0.2 + 0.16 * line)
        sprite.line(width * 0.15, top, width * rng.uniform(0.3, 0.85), top, max(0.7, height * 0.05), ink)
    sprite.grain(1 + 0.07 * noise(rng, GRAINY, sprite.height, sprite.width))
    return sprite.layer(x, y, rng.normal(0, 0.1))


def car(x: float, y: float, size: float, _: Light, rng: np.random.Generator) -> Layer | None:
    """The front of a car: two lamps above a grille."""
    sprite = Sprite(size * 1.4, size)
    paint = any_colour(rng, 0.9)
    width, height = size * 1.4, size
    sprite.polygon([(width * 0.2, height * 0.45), (width * 0.3, 0.05 * height), (width * 0.7, 0.05 * height),
                    (width * 0.8, height * 0.45)], (0.25, 0.22, 0.2))  # fmt: skip
    sprite.box(width * 0.08, height * 0.42, width * 0.92, height * 0.9, paint)
    for column in (0.2, 0.8):
        sprite.oval(width * column, height * 0.58, width * 0.09, height * 0.08, (0.85, 0.9, 0.92))
        sprite.box(width * (column - 0.07), height * 0.85, width * (column + 0.07), height, (0.05, 0.05, 0.05))
    sprite.box(width * 0.34, height * 0.58, width * 0.66, height * 0.74, (0.1, 0.1, 0.1))
    return sprite.layer(x, y)


def lamp(x: float, y: float, size: float, _: Light, rng: np.random.Generator) -> Layer | None:
    """One bright round light, or two side by side."""
    sprite = Sprite(size * 2, size)
    glow = jitter(rng, (0.7, 0.88, 0.97), 0.06)
    for column in (0.5, 1.5)[: int(rng.integers(1, 3))]:
        sprite.oval(size * column, size / 2, size * 0.45, size * 0.45, glow)
        sprite.oval(size * column, size / 2, size * 0.25, size * 0.25, (1.0, 1.0, 1.0))
    return sprite.layer(x, y)


def pole(x: float, y: float, size: float, _: Light, rng: np.random.Generator) -> Layer | None:
    """A bar across the scene: a pole, a rail, a branch."""
    sprite = Sprite(size * 4, max(2.0, size * 0.35))
    base = any_colour(rng, 0.5)
    middle = sprite.height / 2
    sprite.line(0, middle, size * 4, middle, sprite.height * 0.9, base)
    sprite.line(0, middle * 0.7, size * 4, middle * 0.7, sprite.height * 0.2, jitter(rng, base, 0.15))
    return sprite.layer(x, y, np.pi / 2 + rng.normal(0, 0.15) if chance(rng, 0.6) else rng.normal(0, 0.3))


def leaves(x: float, y: float, size: float, _: Light, rng: np.random.Generator) -> Layer | None:
    """A cluster of leaves or petals."""
    sprite = Sprite(size * 1.6, size * 1.6)
    base = jitter(rng, (0.18, 0.45, 0.28), 0.1) if chance(rng, 0.7) else any_colour(rng, 0.9)
    for _leaf in range(int(rng.integers(5, 16))):
        px, py = rng.uniform(0.2, 1.4, 2) * size
        sprite.oval(px, py, size * rng.uniform(0.1, 0.25), size * rng.uniform(0.04, 0.12), jitter(rng, base, 0.1),
                    rng.uniform(0, np.pi))  # fmt: skip
    return sprite.layer(x, y)


STANDING: tuple[Maker, ...] = (crate, textile, plate, clock, car, lamp, leaves, pole, ball)
"""Objects of the scene."""

CONFUSING: tuple[Maker, ...] = (ball, animal, back_of_head, back_of_head, not_a_face, limb, plate, plate)
"""Objects that a detector may take for faces."""

HIDING: tuple[Maker, ...] = (crate, pole, pole, leaves, leaves, ball, textile, limb)
"""Objects in front of faces."""
