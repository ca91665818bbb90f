"""Random draws, colours, and noise tiles for the grain of surfaces."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""float32 unless stated otherwise."""

Colour = tuple[float, float, float]

TILE = 256
"""Side of a noise tile, pixels."""


def fractal(rng: np.random.Generator, height: int, width: int, coarse: int, octaves: int, fall: float = 0.55) -> Array:
    """Return (height, width) noise of mean ≈ 0 and standard deviation ≈ 1: a sum of smooth, ever finer grids."""
    total = np.zeros((height, width), dtype=np.float32)
    weight, cells = 1.0, coarse
    for _ in range(octaves):
        rows, columns = min(cells, height), max(2, min(cells * width // height, width))
        grid = rng.standard_normal((max(2, rows), columns), dtype=np.float32)
        total += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        weight *= fall
        cells *= 2
    return total / np.float32(np.sqrt((1 - fall ** (2 * octaves)) / (1 - fall**2)))


@lru_cache(maxsize=1)
def noise_tiles() -> tuple[Array, ...]:
    """Return four (TILE, TILE) tiles: cloudy, mottled, grainy and vertical strands; the same in every process."""
    rng = np.random.default_rng(20_240_607)
    strands = cv2.resize(rng.standard_normal((16, TILE), dtype=np.float32), (TILE, TILE), interpolation=cv2.INTER_CUBIC)
    return (
        fractal(rng, TILE, TILE, 3, 6),
        fractal(rng, TILE, TILE, 16, 4, 0.8),
        fractal(rng, TILE, TILE, 64, 3, 0.9),
        strands.astype(np.float32),
    )


CLOUDY, MOTTLED, GRAINY, STRANDS = range(4)


def noise(rng: np.random.Generator, kind: int, height: int, width: int) -> Array:
    """Return a random (height, width) window of a tile; larger windows are enlarged from the tile."""
    tile = noise_tiles()[kind]
    rows, columns = min(height, TILE), min(width, TILE)
    top, left = int(rng.integers(TILE - rows + 1)), int(rng.integers(TILE - columns + 1))
    window = tile[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        window = window[:, ::-1]
    if (rows, columns) != (height, width):
        window = cv2.resize(window, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(window, dtype=np.float32)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform between those of ``low`` and ``high``."""
    return float(low * (high / low) ** rng.random())


def clamp(value: float, low: float, high: float) -> float:
    """Return ``value`` clipped to [``low``, ``high``]."""
    return float(min(max(value, low), high))


def vector(colour: Colour | Sequence[Any]) -> Array:
    """Return a colour as a (3,) array."""
    return np.array(colour, dtype=np.float32)


def jitter(rng: np.random.Generator, colour: Colour, amount: float) -> Colour:
    """Return ``colour`` with a random change of lightness and smaller changes of each channel, clipped to [0, 1]."""
    common, *single = (rng.standard_normal(4) * amount).tolist()
    blue, green, red = (clamp(c + common + own / 3, 0.0, 1.0) for c, own in zip(colour, single, strict=True))
    return blue, green, red


def any_colour(rng: np.random.Generator, saturation: float = 0.6) -> Colour:
    """Return a colour of random hue and lightness with at most ``saturation``."""
    level, vivid, *hue = rng.random(5).tolist()
    value = 0.08 + 0.87 * level
    low, high = min(hue), max(hue)
    scale = vivid * saturation / max(high - low, 1e-6)
    blue, green, red = (value * (1 - scale * (high - channel)) for channel in hue)
    return blue, green, red


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with ``probability``."""
    return bool(rng.random() < probability)
