"""Renders a head from any side, shaded and cut out, with the face's box, landmarks and masks."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.anatomy import (
    AXIS,
    BEARD,
    EAR,
    FACE_EDGE,
    HAIR,
    HAT,
    NECK,
    ROUND,
    SKIN,
    head_solids,
    jaw_drop,
    places,
    surface_points,
)
from harness.data.synthetic.layers import Layer
from harness.data.synthetic.light import Light, normals, shade
from harness.data.synthetic.paint import A_MAX, V_MIN, paint_face, swapped, times
from harness.data.synthetic.person import Person
from harness.data.synthetic.solids import Solids, cast, extent, rotation, smooth_depth
from harness.data.synthetic.tiles import CLOUDY, GRAINY, STRANDS, TILE, Array, noise, noise_tiles, vector

MELT = 0.035
"""Distance over which the shading blends two solids, head units."""


@dataclass(frozen=True)
class Pose:
    """Pose of a head: yaw, pitch and roll in radians, its middle x, y in image pixels, and pixels per head unit."""

    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    unit: float


def render_head(
    person: Person, pose: Pose, light: Light, rng: np.random.Generator, scramble: int | None = None
) -> Layer | None:
    """Return the head as a layer, or None if its face is not visible.

    Args:
        person: the person.
        pose: the head's pose in the image.
        light: the lighting of the head.
        rng: random generator for the grain of skin and hair.
        scramble: kind of non-face to render instead, as in ``swapped``; None renders a face.
    """
    fine = 3 if pose.unit < 8 else 2 if pose.unit < 26 else 1
    step = 1 / (pose.unit * fine)
    turn = rotation(pose.yaw, pose.pitch, pose.roll)
    upright = head_solids(person)
    solids = upright.turned(turn)
    low, high = _extent(solids)
    left, top = int(np.floor(pose.x + low[0] * pose.unit)), int(np.floor(pose.y + low[1] * pose.unit))
    columns = int(np.ceil(pose.x + high[0] * pose.unit)) - left
    rows = int(np.ceil(pose.y + high[1] * pose.unit)) - top
    x = ((np.arange(columns * fine, dtype=np.float32) + 0.5) / fine + np.float32(left - pose.x)) / np.float32(pose.unit)
    y = ((np.arange(rows * fine, dtype=np.float32) + 0.5) / fine + np.float32(top - pose.y)) / np.float32(pose.unit)

    nearest, label = cast(solids, x, y)
    seen = label >= 0
    soft = smooth_depth(nearest, label, MELT / step)

    # The paint is looked up on the upright head.
    back = turn.T.astype(np.float32)
    px = back[0, 0] * x[None, :] + back[0, 1] * y[:, None] + back[0, 2] * nearest
    py = back[1, 0] * x[None, :] + back[1, 1] * y[:, None] + back[1, 2] * nearest
    pz = back[2, 0] * x[None, :] + back[2, 1] * y[:, None] + back[2, 2] * nearest
    around = np.arctan2(px, pz - AXIS) * np.float32(ROUND)

    scale = min(max(pose.unit * fine * (1.3 if fine == 1 else 0.95), 22.0), 110.0)
    canvas = paint_face(person, scale, pose.unit > 9, rng)
    if scramble is not None:
        swapped(canvas, scramble)
    map_x, map_y = (around + A_MAX) * scale - 0.5, (py - V_MIN) * scale - 0.5
    paint = cv2.remap(canvas.colour, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.remap(canvas.cover, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    albedo, gloss, bump = paint, cover[:, :, 2], cover[:, :, 3]
    skin = label == SKIN
    bump *= skin
    _dress(albedo, bump, gloss, label, person, around, py, rng)

    normal = normals(soft + bump, step)
    colour = shade(albedo, normal, light, gloss, (y, x))
    face = (skin | (label == BEARD)) & (np.abs(around) < FACE_EDGE) & (cover[:, :, 0] < 0.5) & (pz > AXIS)
    face &= (py > -1.0) & (py < 1.02 + jaw_drop(person))
    covered = face & (cover[:, :, 1] > 0.5)
    if person.wear in ("glasses", "sunglasses", "goggles"):
        covered |= _glasses(colour, person, upright, turn, nearest, x, y, 1 / step) & face

    height, width = rows, columns
    alpha = cv2.resize(seen.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    colour *= seen[:, :, None]
    small = cv2.resize(colour, (width, height), interpolation=cv2.INTER_AREA)
    if scramble is not None:
        return Layer(left, top, small, alpha)
    area = cv2.resize(face.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) >= 0.5
    if np.count_nonzero(area) < 12:
        return None
    hidden = cv2.resize(covered.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) >= 0.5
    across, down = np.flatnonzero(face.any(axis=0)), np.flatnonzero(face.any(axis=1))
    box = np.array(
        [left + across[0] / fine, top + down[0] / fine, left + (across[-1] + 1) / fine, top + (down[-1] + 1) / fine]
    )
    return Layer(left, top, small, alpha, area, area & ~hidden, box, landmarks(person, upright, turn, pose))


def landmarks(person: Person, solids: Solids, turn: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
    """Return the five landmarks (10,) in image pixels: the painted places, transformed like the head."""
    points = surface_points(solids.only(SKIN), list(places(person).values())) @ turn.T
    return (points[:, :2] * pose.unit + (pose.x, pose.y)).reshape(10)


def _extent(solids: Solids) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lowest and highest x, y that any solid reaches."""
    low, high = extent(solids)
    return low.min(axis=0) - 0.02, high.max(axis=0) + 0.02


def _dress(
    albedo: Array,
    bump: Array,
    gloss: Array,
    label: NDArray[np.int64],
    person: Person,
    around: Array,
    height: Array,
    rng: np.random.Generator,
) -> None:
    """Colour ears, neck, hair, beard and hat, in place."""
    for part, colour in ((EAR, times(person.skin, 0.88, 1.06)), (NECK, times(person.skin, 0.85))):
        where = label == part
        albedo[where] = colour
        gloss[where] = 0.2
    hair = (label == HAIR) | (label == BEARD)
    if hair.any():
        kind = CLOUDY if person.style == "afro" else STRANDS
        tile = noise_tiles()[GRAINY if kind == CLOUDY else STRANDS]
        shift = rng.integers(TILE, size=2)
        wavy = around[hair] * 55 + height[hair] * (3 if kind == STRANDS else 55) + shift[0]
        grain = tile[(height[hair] * 18 + shift[1]).astype(np.int64) % TILE, wavy.astype(np.int64) % TILE]
        albedo[hair] = np.clip(vector(person.hair) * (1 + 0.22 * grain[:, None]), 0, 1)
        bump[hair] = 0.022 * grain
        gloss[hair] = 0.30 if kind == STRANDS else 0.05
    hat = label == HAT
    if hat.any():
        albedo[hat] = person.hat_colour
        gloss[hat] = 0.9 if person.hat == "helmet" else 0.05
        if person.hat == "beanie":
            bump[hat] = 0.02 * np.sin(around[hat] * 45)
            band = hat & (height > -0.84)
            albedo[band] = person.hat_second
        elif person.hat in ("hood", "scarf"):
            bump[hat] = 0.03 * np.sin(height[hat] * 9 + 5 * np.abs(around[hat]))
        elif person.hat == "brim":
            albedo[hat & (height > -1.05) & (height < -0.86)] = person.hat_second
        else:
            albedo[hat & (np.abs(around) < 0.22)] = person.hat_second


def _glasses(
    colour: Array,
    person: Person,
    solids: Solids,
    turn: NDArray[np.float64],
    nearest: Array,
    x: Array,
    y: Array,
    unit: float,
) -> NDArray[np.bool_]:
    """Draw glasses in front of the eyes on ``colour``, in place, and return the pixels that dark lenses hide."""
    eye = surface_points(solids, [places(person)["right_eye"]])[0]
    wide, tall = (0.235, 0.20) if person.wear == "glasses" else (0.27, 0.23)
    front = float(eye[2]) + 0.10
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    power = 0.6 if person.wear == "glasses" else 0.75
    outline = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outline = np.sign(outline) * np.abs(outline) ** power * (wide, tall)
    dark = person.wear != "glasses"
    frame = tuple(0.5 * c for c in person.wear_colour)
    lens_hidden = np.zeros(nearest.shape, dtype=np.bool_)
    frames = np.zeros(nearest.shape, dtype=np.uint8)
    lenses = np.zeros(nearest.shape, dtype=np.uint8)
    origin = np.array([float(x[0]), float(y[0])])

    def fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.asarray(np.round((points[:, :2] - origin) * unit * 16), dtype=np.int32)

    # The plane of the lenses gives their depth in every pixel, so that the nose can hide the far lens.
    forward = turn[:, 2]
    thick = max(1, round(0.045 * unit))
    for side in (-1.0, 1.0):
        rim = np.empty((len(angles), 3))
        rim[:, 0] = outline[:, 0] + side * eye[0]
        rim[:, 1] = outline[:, 1] + eye[1] + 0.02
        rim[:, 2] = front - 0.10 * (np.abs(rim[:, 0]) / 0.5) ** 2
        points = fixed(rim @ turn.T)
        cv2.fillPoly(lenses, [points], 255, cv2.LINE_AA, 4)
        cv2.polylines(frames, [points], True, 255, thick, cv2.LINE_AA, 4)
        if turn[2, 0] * side > -0.15:
            arm = np.array(
                [[side * 0.52, eye[1] - 0.04, front - 0.12], [side * 0.80 * person.wide, eye[1] + 0.02, -0.1]]
            )
            cv2.polylines(frames, [fixed(arm @ turn.T)], False, 255, thick, cv2.LINE_AA, 4)
    bridge = np.array([[-0.07, eye[1] - 0.03, front + 0.02], [0.07, eye[1] - 0.03, front + 0.02]]) @ turn.T
    cv2.polylines(frames, [fixed(bridge)], False, 255, thick, cv2.LINE_AA, 4)
    middle = turn @ np.array([0.0, eye[1], front - 0.03])
    if forward[2] > 0.12:
        plane = middle[2] - ((x[None, :] - middle[0]) * forward[0] + (y[:, None] - middle[1]) * forward[1]) / forward[2]
        visible = (plane > nearest - 0.12).astype(np.float32)
    else:
        visible = np.ones(nearest.shape, dtype=np.float32)
    lens = lenses.astype(np.float32) * visible * np.float32(1 / 255)
    if dark:
        tint = vector(person.wear_colour) * np.float32(0.12)
        glare = np.clip(0.5 - (y - eye[1]) * 1.5, 0, 1)[:, None, None] * np.float32(0.18)
        colour += (tint + glare - colour) * (lens * 0.92)[:, :, None]
        lens_hidden = lens > 0.5
    else:
        colour += (np.float32(0.85) - colour) * (lens * 0.10)[:, :, None]
    edge = frames.astype(np.float32) * np.float32(1 / 255) * np.where(visible > 0, 1, 0.0).astype(np.float32)
    edge *= min(1.0, 0.05 * unit)
    colour += (vector(frame) - colour) * edge[:, :, None]
    return lens_hidden


def render_solids(
    solids: Solids,
    palette: list[tuple[float, float, float]],
    place: tuple[float, float, float],
    light: Light,
    rng: np.random.Generator,
    gloss: float = 0.1,
    pattern: Array | None = None,
    side: int | None = None,
) -> Layer | None:
    """Return plain solids (bodies, hands, balls) as a layer; None if they lie outside the image.

    Args:
        solids: in viewing position; their labels index ``palette``.
        palette: colours.
        place: x, y of the origin in image pixels, and pixels per unit.
        light: the lighting of the solids.
        rng: random generator for the grain of the surface.
        gloss: strength of the highlight.
        pattern: (h, w, 3), tiled and multiplied onto label 0; None leaves it plain.
        side: the image's side, pixels; nothing is drawn outside the image. None draws everything.
    """
    middle_x, middle_y, unit = place
    fine = 2 if unit < 9 else 1
    low, high = _extent(solids)
    left, top = int(np.floor(middle_x + low[0] * unit)), int(np.floor(middle_y + low[1] * unit))
    right, bottom = int(np.ceil(middle_x + high[0] * unit)), int(np.ceil(middle_y + high[1] * unit))
    if side is not None:
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, side), min(bottom, side)
    columns, rows = right - left, bottom - top
    if columns <= 0 or rows <= 0:
        return None
    x = ((np.arange(columns * fine, dtype=np.float32) + 0.5) / fine + np.float32(left - middle_x)) / np.float32(unit)
    y = ((np.arange(rows * fine, dtype=np.float32) + 0.5) / fine + np.float32(top - middle_y)) / np.float32(unit)
    nearest, label = cast(solids, x, y)
    seen = label >= 0
    soft = smooth_depth(nearest, label, MELT * unit * fine)
    albedo = vector(palette)[label]
    if pattern is not None:
        tall, wide = pattern.shape[:2]
        index_y, index_x = (y * tall / 2).astype(np.int64) % tall, (x * wide / 2).astype(np.int64) % wide
        albedo = np.where((label == 0)[:, :, None], albedo * pattern[index_y[:, None], index_x[None, :]], albedo)
    albedo *= (1 + 0.05 * noise(rng, CLOUDY, *nearest.shape))[:, :, None]
    colour = shade(np.clip(albedo, 0, 1), normals(soft, 1 / (unit * fine)), light, gloss, (y, x))
    colour *= seen[:, :, None]
    alpha = cv2.resize(seen.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
    return Layer(left, top, cv2.resize(colour, (columns, rows), interpolation=cv2.INTER_AREA), alpha)
