"""Lighting: a key light, ambient light, highlights and the edge of a shadow."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.tiles import Array, Colour, chance


@dataclass(frozen=True)
class Light:
    """The lighting of a scene.

    Attributes:
        direction: unit vector towards the key light (x right, y down, z to the viewer).
        key: the key light's colour and strength, linear.
        ambient: the ambient light's colour and strength, linear.
        shadow: nx, ny, offset (head units) and softness of a shadow's edge across a face; None without a shadow.
        shadow_depth: share of the key light that the shadow removes.
    """

    direction: NDArray[np.float32]
    key: Colour
    ambient: Colour
    shadow: tuple[float, float, float, float] | None = None
    shadow_depth: float = 0.0


def sample_light(rng: np.random.Generator) -> Light:
    """Return random lighting: flat to hard, from the front, the side, above or behind."""
    azimuth = rng.normal(0, 0.8) if chance(rng, 0.85) else rng.uniform(-np.pi, np.pi)
    height = rng.uniform(-0.2, 1.2)
    direction = np.array([np.sin(azimuth) * np.cos(height), -np.sin(height), np.cos(azimuth) * np.cos(height)])
    hardness = rng.uniform(0.15, 0.9)
    warmth = rng.normal(0, 0.12)
    level = rng.uniform(0.8, 1.25)
    key = level * 1.3 * hardness * np.array([1 - warmth, 1.0, 1 + warmth])
    cool = rng.normal(0, 0.08)
    ambient = level * (1.05 - hardness) * np.array([1 + cool, 1.0, 1 - cool])
    return Light(direction.astype(np.float32), _colour(key), _colour(ambient))


def own_light(light: Light, rng: np.random.Generator) -> Light:
    """Return ``light`` for one person: slightly stronger or weaker, sometimes with the edge of a shadow."""
    strength = float(np.exp(rng.normal(0, 0.15)))
    key = tuple(strength * channel for channel in light.key)
    ambient = tuple(strength * channel for channel in light.ambient)
    shadow, depth = None, 0.0
    if chance(rng, 0.18):
        angle = rng.uniform(0, 2 * np.pi)
        shadow = (float(np.cos(angle)), float(np.sin(angle)), float(rng.normal(0, 0.5)), float(rng.uniform(0.03, 0.3)))
        depth = float(rng.uniform(0.4, 1.0))
    return Light(light.direction, _colour(np.array(key)), _colour(np.array(ambient)), shadow, depth)


def _colour(values: NDArray[np.float64]) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])


def normals(depth: Array, step: float) -> tuple[Array, Array, Array]:
    """Return x, y, z of the unit normals of a depth map (H, W). ``step`` is a pixel's width in the depth's unit."""
    scale = -0.5 / step
    x: Array = np.asarray(cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=1, scale=scale, borderType=cv2.BORDER_REPLICATE))
    y: Array = np.asarray(cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=1, scale=scale, borderType=cv2.BORDER_REPLICATE))
    for slope in (x, y):
        np.minimum(slope, 5, out=slope)
        np.maximum(slope, -5, out=slope)
    z = x * x
    z += y * y
    z += 1
    np.sqrt(z, out=z)
    np.reciprocal(z, out=z)
    x *= z
    y *= z
    return x, y, z


def shade(
    albedo: Array,
    normal: tuple[Array, Array, Array],
    light: Light,
    gloss: Array | float,
    where: tuple[Array, Array] | None = None,
) -> Array:
    """Return the screen colour (H, W, 3) of a surface.

    Args:
        albedo: (H, W, 3) screen colour under flat white light.
        normal: x, y, z, each (H, W).
        light: the light.
        gloss: strength of the highlight, a number or (H, W).
        where: positions of the rows and columns in head units, for the shadow's edge; None for no shadow.
    """
    nx, ny, nz = normal
    lx, ly, lz = (float(part) for part in light.direction)
    facing = nx * lx + ny * ly + nz * lz
    lit = np.maximum(facing * 0.88 + 0.12, 0)
    half = np.array([lx, ly, lz + 1.0])
    half /= max(float(np.linalg.norm(half)), 1e-3)
    spot = np.maximum(nx * float(half[0]) + ny * float(half[1]) + nz * float(half[2]), 0)
    for _ in range(4):
        spot *= spot
    if light.shadow is not None and where is not None:
        ax, ay, offset, softness = light.shadow
        edge = (where[1][None, :] * ax + where[0][:, None] * ay - offset) / softness
        lit = lit * (1 - light.shadow_depth * np.clip(edge + 0.5, 0, 1))
    sky = 0.82 - 0.18 * ny
    spot *= gloss
    spot *= lit > 0.12
    planes = []
    for plane, key, ambient in zip(cv2.split(albedo), light.key, light.ambient, strict=True):
        # A gamma of 2: the square of a screen colour is linear light.
        linear = plane * plane
        linear *= lit * key + sky * ambient
        linear += spot * (0.35 * key)
        planes.append(np.sqrt(np.minimum(linear, 1)))
    return np.asarray(cv2.merge(planes))
