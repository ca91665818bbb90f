"""Backgrounds as (S, S, 3) float32 in [0, 1]: rooms, streets, walls, foliage, shelves, crowds out of focus."""

from collections.abc import Callable

import cv2
import numpy as np

from harness.data.synthetic.person import SKINS
from harness.data.synthetic.tiles import (
    CLOUDY,
    GRAINY,
    MOTTLED,
    STRANDS,
    Array,
    Colour,
    any_colour,
    chance,
    fractal,
    jitter,
    noise,
    vector,
)

Painter = Callable[[int, np.random.Generator], Array]


def _plain(side: int, colour: Colour) -> Array:
    return np.broadcast_to(vector(colour), (side, side, 3)).copy()


def clouds(side: int, rng: np.random.Generator) -> Array:
    """Two colours mixed by smooth noise: curtains of light, sky, plaster."""
    share = 1 / (1 + np.exp(-1.5 * fractal(rng, side, side, int(rng.integers(2, 8)), 5)))
    first, second = vector(any_colour(rng)), vector(any_colour(rng))
    return np.asarray(first + (second - first) * share[:, :, None].astype(np.float32), dtype=np.float32)


def gradient(side: int, rng: np.random.Generator) -> Array:
    """A smooth ramp between two colours, with grain."""
    angle = rng.uniform(0, 2 * np.pi)
    line = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    ramp = np.clip(line[None, :] * np.cos(angle) + line[:, None] * np.sin(angle) + 0.5, 0, 1).astype(np.float32)
    first, second = vector(any_colour(rng)), vector(any_colour(rng))
    mixed = first + (second - first) * ramp[:, :, None]
    return np.asarray(mixed * (1 + 0.04 * noise(rng, MOTTLED, side, side))[:, :, None], dtype=np.float32)


def bricks(side: int, rng: np.random.Generator) -> Array:
    """Rows of bricks or tiles of varying shade."""
    tall = int(rng.integers(5, 22))
    wide = int(tall * rng.uniform(1.0, 3.0))
    offset = wide // 2 if chance(rng, 0.7) else 0
    rows = np.arange(side) // tall
    shifted = np.arange(side)[None, :] + (rows % 2)[:, None] * offset
    columns = shifted // wide
    shades = rng.normal(1, 0.10, (side // tall + 2, (side + offset) // wide + 2)).astype(np.float32)
    base = any_colour(rng, 0.7)
    image = vector(base) * shades[rows[:, None], columns][:, :, None]
    joint = max(1, tall // 8)
    gap = ((np.arange(side) % tall) < joint)[:, None] | ((shifted % wide) < joint)
    image[gap] = jitter(rng, base, 0.2)
    return np.asarray(image * (1 + 0.08 * noise(rng, GRAINY, side, side))[:, :, None], dtype=np.float32)


def foliage(side: int, rng: np.random.Generator) -> Array:
    """Overlapping leaves, light ones above dark ones."""
    base = jitter(rng, (0.15, 0.35, 0.22), 0.08)
    image = (np.clip(_plain(side, base) * 255 * 0.5, 0, 255)).astype(np.uint8)
    size = rng.uniform(2, 9)
    count = int(np.clip(2.2 * (side / size) ** 2 / 4, 60, 420))
    centres = rng.uniform(-4, side + 4, (count, 2))
    lights = np.linspace(0.5, 1.5, count) * rng.uniform(0.7, 1.3, count)
    angles = rng.uniform(0, 180, count)
    lengths = size * rng.uniform(0.5, 1.3, count)
    for (x, y), light, angle, length in zip(centres, lights, angles, lengths, strict=True):
        colour = tuple(min(255.0, 255 * light * channel) for channel in base)
        axes = (int(length), max(1, int(length * 0.45)))
        cv2.ellipse(image, (int(x), int(y)), axes, angle, 0, 360, colour, -1)
    return np.asarray(image.astype(np.float32) / 255, dtype=np.float32)


def stripes(side: int, rng: np.random.Generator) -> Array:
    """Stripes, blinds, planks or a fence."""
    angle = rng.choice((0.0, np.pi / 2, rng.uniform(0, np.pi)))
    line = np.arange(side, dtype=np.float32)
    along = line[None, :] * np.float32(np.cos(angle)) + line[:, None] * np.float32(np.sin(angle))
    pitch = rng.uniform(4, 30)
    wave = np.sin(along * (2 * np.pi / pitch))
    share = np.clip(wave * rng.uniform(0.7, 6) + 0.5, 0, 1).astype(np.float32)
    first, second = vector(any_colour(rng)), vector(any_colour(rng))
    image = first + (second - first) * share[:, :, None]
    return np.asarray(image * (1 + 0.10 * noise(rng, STRANDS, side, side))[:, :, None], dtype=np.float32)


def facade(side: int, rng: np.random.Generator) -> Array:
    """A building: rows of windows, some lit."""
    image = _plain(side, any_colour(rng, 0.4)) * (1 + 0.05 * noise(rng, MOTTLED, side, side))[:, :, None]
    wide, tall = int(rng.integers(8, 34)), int(rng.integers(10, 40))
    frame = jitter(rng, any_colour(rng, 0.3), 0.1)
    for top in range(int(rng.integers(0, tall)), side, tall):
        for left in range(int(rng.integers(0, 4)), side, wide):
            pane = image[top + tall // 5 : top + tall * 4 // 5, left + wide // 5 : left + wide * 4 // 5]
            if pane.size == 0:
                continue
            pane[:] = frame
            inner = pane[1:-1, 1:-1]
            glass = (0.45, 0.75, 0.9) if chance(rng, 0.2) else jitter(rng, (0.35, 0.28, 0.22), 0.12)
            inner[:] = glass
            if chance(rng, 0.4) and inner.shape[1] > 3:
                inner[:, inner.shape[1] // 2] = frame
    return image


def shelves(side: int, rng: np.random.Generator) -> Array:
    """Shelves full of books or goods."""
    image = _plain(side, jitter(rng, (0.2, 0.3, 0.42), 0.1))
    tall = int(rng.integers(14, 45))
    for top in range(-int(rng.integers(tall)), side, tall):
        left = 0
        while left < side:
            width = int(rng.integers(2, max(3, tall // 3)))
            height = int(tall * rng.uniform(0.5, 0.88))
            x0, y0, y1 = left, max(0, top + tall - height - 2), max(0, top + tall - 2)
            image[y0:y1, x0 : x0 + width - (width > 4)] = any_colour(rng, 0.9)
            left += width
        image[max(0, top + tall - 2) : max(0, top + tall)] *= 1.3
    return np.asarray(image * (1 + 0.06 * noise(rng, GRAINY, side, side))[:, :, None], dtype=np.float32)


def street(side: int, rng: np.random.Generator) -> Array:
    """Sky above, buildings, ground below."""
    horizon = int(side * rng.uniform(0.3, 0.65))
    image = gradient(side, rng)
    image[:] = vector(jitter(rng, (0.85, 0.75, 0.65), 0.12)) * (1 + 0.06 * noise(rng, CLOUDY, side, side))[:, :, None]
    left = 0
    texture = facade(side, rng)
    while left < side:
        width = int(rng.integers(side // 8, side // 2))
        top = int(horizon * rng.uniform(0.0, 0.9))
        shift = int(rng.integers(0, max(1, side - width)))
        block = texture[top:horizon, shift : shift + width]
        target = image[top:horizon, left : left + width]
        target[:] = block[:, : target.shape[1]] * rng.uniform(0.6, 1.2)
        left += width
    ground = image[horizon:]
    ground[:] = jitter(rng, (0.42, 0.43, 0.44), 0.12)
    ground *= (1 + 0.10 * noise(rng, GRAINY, ground.shape[0], side))[:, :, None]
    return image


def room(side: int, rng: np.random.Generator) -> Array:
    """A wall with a picture or a window, and a floor."""
    image = (clouds if chance(rng, 0.4) else gradient)(side, rng)
    floor = int(side * rng.uniform(0.6, 0.95))
    image[floor:] = jitter(rng, (0.25, 0.36, 0.50), 0.12)
    image[floor:] *= (1 + 0.12 * noise(rng, STRANDS, side - floor, side))[:, :, None]
    for _ in range(int(rng.integers(1, 5))):
        width, height = (int(v) for v in rng.uniform(0.08, 0.4, 2) * side)
        left, top = int(rng.uniform(-0.1, 0.9) * side), int(rng.uniform(-0.1, 0.7) * side)
        frame = image[max(0, top) : top + height, max(0, left) : left + width]
        if min(frame.shape[:2]) < 5:
            continue
        frame[:] = any_colour(rng, 0.5)
        inner = frame[2:-2, 2:-2]
        inner[:] = (
            vector(any_colour(rng, 0.6))
            * (1 + 0.25 * noise(rng, int(rng.integers(3)), inner.shape[0], inner.shape[1]))[:, :, None]
        )
    return image


def bokeh(side: int, rng: np.random.Generator) -> Array:
    """Soft discs in light or skin colours: a crowd or a city far out of focus."""
    image = (np.clip(_plain(side, any_colour(rng, 0.5)) * 150, 0, 255)).astype(np.uint8)
    size = rng.uniform(4, 16)
    people = chance(rng, 0.6)
    for _ in range(int(rng.integers(30, 110))):
        base = SKINS[int(rng.integers(len(SKINS)))] if people and chance(rng, 0.5) else any_colour(rng, 0.8)
        x, y = (int(v) for v in rng.uniform(0, side, 2))
        axes = (int(size * rng.uniform(0.4, 1)), int(size * rng.uniform(0.5, 1.2)))
        cv2.ellipse(image, (x, y), axes, 0, 0, 360, tuple(255 * channel for channel in base), -1)
    return np.asarray(
        cv2.GaussianBlur(image, (0, 0), float(size * rng.uniform(0.1, 0.5))).astype(np.float32) / 255, dtype=np.float32
    )


def seats(side: int, rng: np.random.Generator) -> Array:
    """Many equal round things in rows: empty chairs, helmets on a rack."""
    image = (np.clip(clouds(side, rng) * 140, 0, 255)).astype(np.uint8)
    pitch = int(rng.integers(8, 28))
    colour = tuple(
        255 * channel for channel in (any_colour(rng, 0.9) if chance(rng, 0.6) else SKINS[int(rng.integers(9))])
    )
    dark = tuple(0.5 * channel for channel in colour)
    for row, y in enumerate(range(int(side * rng.uniform(0, 0.5)), side + pitch, pitch)):
        for x in range((row % 2) * pitch // 2, side + pitch, pitch):
            cv2.ellipse(image, (x, y), (int(pitch * 0.36), int(pitch * 0.42)), 0, 0, 360, colour, -1, cv2.LINE_AA)
            cv2.ellipse(image, (x, y + pitch // 5), (int(pitch * 0.36), int(pitch * 0.2)), 0, 0, 180, dark, -1)
    return np.asarray(image.astype(np.float32) / 255, dtype=np.float32)


PAINTERS: tuple[Painter, ...] = (
    clouds, gradient, bricks, foliage, stripes, facade, shelves, street, street, room, room, bokeh, seats,
)  # fmt: skip


def paint_backdrop(side: int, rng: np.random.Generator) -> Array:
    """Return a random background, sometimes two side by side, unevenly lit."""
    image = PAINTERS[int(rng.integers(len(PAINTERS)))](side, rng)
    if chance(rng, 0.25):
        other = PAINTERS[int(rng.integers(len(PAINTERS)))](side, rng)
        cut = int(side * rng.uniform(0.2, 0.8))
        if chance(rng, 0.5):
            image[:, cut:] = other[:, cut:]
        else:
            image[cut:] = other[cut:]
    fall = 1 + rng.uniform(0, 0.25) * noise(rng, CLOUDY, side, side)
    image *= np.clip(fall, 0.3, 1.7)[:, :, None] * np.float32(rng.uniform(0.6, 1.1))
    return np.clip(image, 0, 1).astype(np.float32)
