"""A face painted on an unrolled head: what the geometry alone does not show.

The canvas holds colour, a bump height for the shading, and two covers: what is no longer face (hair, cloth) and what
covers the face (a mask).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.scenes.anatomy import jaw_drop, mouth_height, nose_height, places
from harness.data.scenes.person import Person
from harness.data.scenes.tiles import GRAINY, MOTTLED, STRANDS, Array, Colour, chance, noise, vector

A_MAX, V_MIN, V_MAX = 1.35, -1.45, 1.35
Points = list[tuple[float, float]]
SHIFT = 4


class Canvas:
    """An unrolled head of ``scale`` pixels a head unit.

    Attributes:
        colour: (h, w, 4) float32: BGR and the bump in head units.
        cover: (h, w, 3) float32: what is not face, what covers the face, and gloss.
    """

    def __init__(self, scale: float, colour: Colour) -> None:
        self.scale = scale
        self.height = round((V_MAX - V_MIN) * scale)
        self.width = round(2 * A_MAX * scale)
        self.colour = np.empty((self.height, self.width, 4), dtype=np.float32)
        self.colour[:] = (*colour, 0.0)
        self.cover = np.zeros((self.height, self.width, 3), dtype=np.float32)
        self.a = (np.arange(self.width, dtype=np.float32) + 0.5) / scale - A_MAX
        self.v = (np.arange(self.height, dtype=np.float32) + 0.5) / scale + V_MIN

    def _window(self, a0: float, v0: float, a1: float, v1: float) -> tuple[slice, slice]:
        left = max(0, int((a0 + A_MAX) * self.scale))
        right = min(self.width, int((a1 + A_MAX) * self.scale) + 2)
        top = max(0, int((v0 - V_MIN) * self.scale))
        bottom = min(self.height, int((v1 - V_MIN) * self.scale) + 2)
        return slice(top, max(bottom, top)), slice(left, max(right, left))

    def shape(self, points: Points, soft: float = 0.0) -> tuple[tuple[slice, slice], Array]:
        """Return a filled polygon's window and its coverage in [0, 1], its edge blurred by ``soft`` head units."""
        corners = np.array(points)
        margin = 2 * soft + 1.5 / self.scale
        low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
        window = self._window(low[0], low[1], high[0], high[1])
        rows, columns = window
        mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=np.uint8)
        if mask.size == 0:
            return window, mask.astype(np.float32)
        offset = np.array([A_MAX * self.scale - columns.start - 0.5, -V_MIN * self.scale - rows.start - 0.5])
        fixed = np.round((corners * self.scale + offset) * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, SHIFT)
        sigma = soft * self.scale
        if sigma > 0.4:
            mask = cv2.GaussianBlur(mask, (0, 0), sigma)
        return window, mask.astype(np.float32) * np.float32(1 / 255)

    def tint(self, window: tuple[slice, slice], amount: Array, colour: Colour) -> None:
        """Move the window's colour towards ``colour`` by ``amount`` (h, w)."""
        part = self.colour[window][:, :, :3]
        part += (vector(colour) - part) * amount[:, :, None]

    def fill(self, points: Points, colour: Colour, alpha: float = 1.0, soft: float = 0.0, bump: float = 0.0) -> None:
        """Fill a polygon with ``colour`` and raise it by ``bump``."""
        window, mask = self.shape(points, soft)
        if mask.size == 0:
            return
        self.tint(window, mask * np.float32(alpha), colour)
        if bump:
            self.colour[window][:, :, 3] += mask * np.float32(bump)

    def glow(
        self, a: float, v: float, ra: float, rv: float, colour: Colour | None, alpha: float, bump: float = 0.0
    ) -> None:
        """Tint and raise a soft round spot whose strength falls to 1/e at the radii ``ra``, ``rv``."""
        window = self._window(a - 2 * ra, v - 2 * rv, a + 2 * ra, v + 2 * rv)
        across = np.exp(-(((self.a[window[1]] - a) / ra) ** 2))
        down = np.exp(-(((self.v[window[0]] - v) / rv) ** 2))
        spot = down[:, None] * across[None, :]
        if colour is not None:
            self.tint(window, spot * np.float32(alpha), colour)
        if bump:
            self.colour[window][:, :, 3] += spot * np.float32(bump)


def times(colour: Colour, factor: float, red: float = 1.0) -> Colour:
    """Return ``colour`` scaled, its red channel by ``red`` more."""
    blue, green, last = colour
    return min(blue * factor, 1.0), min(green * factor, 1.0), min(last * factor * red, 1.0)


def ring(a: float, v: float, ra: float, rv: float, count: int = 14) -> Points:
    """Return an ellipse as a polygon."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [(a + ra * float(np.cos(t)), v + rv * float(np.sin(t))) for t in angles]


def mirrored(points: Points, side: float) -> Points:
    """Return ``points`` with a times ``side`` (±1)."""
    return [(a * side, v) for a, v in points]


def paint_face(person: Person, scale: float, rng: np.random.Generator) -> Canvas:
    """Return the canvas of ``person`` at ``scale`` pixels a head unit."""
    canvas = Canvas(scale, person.skin)
    _skin(canvas, person, rng)
    _eyes(canvas, person, rng)
    _nose(canvas, person)
    _mouth(canvas, person)
    _beard(canvas, person, rng)
    _hairline(canvas, person, rng)
    _wear(canvas, person, rng)
    return canvas


def _skin(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    canvas.colour[:, :, :3] *= (
        1 + np.float32(0.025 + 0.03 * person.age) * noise(rng, MOTTLED, canvas.height, canvas.width)[:, :, None]
    )
    canvas.cover[:, :, 2] = person.oily
    flush = times(person.skin, 0.86, 1.12)
    for side in (-1.0, 1.0):
        canvas.glow(side * 0.40, 0.22, 0.22, 0.20, flush, 0.35 + 0.35 * person.makeup)
    canvas.glow(0, nose_height(person), 0.14, 0.12, flush, 0.4)
    # Folds from the nose to the mouth, deeper with age and with a smile.
    depth = 0.18 + 0.5 * person.age + 0.3 * max(person.smile, 0.0)
    dark = times(person.skin, 0.62, 1.05)
    for side in (-1.0, 1.0):
        fold = [(0.17, 0.30), (0.27, 0.42), (0.33, 0.60), (0.31, 0.62), (0.25, 0.45), (0.15, 0.33)]
        canvas.fill(mirrored(fold, side), dark, min(0.7, depth), 0.02, -0.006 * depth)
    if person.age > 0.4:
        for line in range(3):
            v = -0.62 + 0.11 * line
            canvas.fill([(-0.35, v), (0, v - 0.03), (0.35, v), (0, v - 0.01)], dark, 0.6 * person.age, 0.01, -0.006)


def _eyes(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    spots = places(person)
    a, v = spots["right_eye"]
    half, tall = 0.135 * person.eye, 0.062 * person.eye * person.lids
    socket = times(person.skin, 0.66, 1.02)
    lash = times(person.hair, 0.5) if sum(person.hair) < 1.4 else times(person.skin, 0.35)
    white = (0.86, 0.88, 0.90)
    for side in (-1.0, 1.0):
        canvas.glow(side * a, v - 0.01, 0.19, 0.12, socket, 0.50 + 0.35 * person.makeup, -0.035)
        canvas.glow(side * 0.12, v, 0.07, 0.13, socket, 0.35, -0.02)
        canvas.glow(side * a, v + 0.13, 0.15, 0.05, socket, 0.15 + 0.35 * person.age, -0.006)
        if tall < 0.012:
            closed = [(a - half, v), (a, v + 0.035), (a + half, v), (a, v + 0.06)]
            canvas.glow(side * a, v, 0.13, 0.07, person.skin, 0.5, 0.02)
            canvas.fill(mirrored(closed, side), lash, 0.9, 0.004)
        else:
            upper = [
                (a - half, v + 0.015),
                (a - 0.6 * half, v - 0.75 * tall),
                (a, v - tall),
                (a + 0.6 * half, v - 0.8 * tall),
            ]
            lower = [(a + half, v - 0.008), (a + 0.5 * half, v + 0.7 * tall), (a - 0.4 * half, v + 0.75 * tall)]
            window, almond = canvas.shape(mirrored(upper + lower, side), 0.0)
            canvas.tint(window, almond, white)
            centre = side * a + person.gaze[0] * 0.5 * half, v + person.gaze[1] * tall - 0.004
            radius = 0.066 * person.eye**0.5
            for size, colour in ((1.0, person.iris), (0.45, (0.02, 0.02, 0.02))):
                inner, disc = canvas.shape(ring(*centre, radius * size, radius * size))
                own = _overlap(window, inner)
                if own is not None:
                    shared, first, second = own
                    canvas.tint(shared, almond[first] * disc[second], colour)
            canvas.glow(centre[0] - 0.02, centre[1] - 0.025, 0.016, 0.016, (1, 1, 1), 0.9)
            thick = 0.022 + 0.03 * person.makeup
            lid = [*upper, (a + half + 0.02, v - 0.012), (a + 0.6 * half, v - 0.8 * tall - thick)]
            lid += [(a, v - tall - thick), (a - 0.6 * half, v - 0.75 * tall - thick)]
            canvas.fill(mirrored(lid, side), lash, 0.9, 0.003)
            crease = [(a - half, v - 0.02), (a, v - tall - 0.065), (a + half, v - 0.03), (a, v - tall - 0.045)]
            canvas.fill(mirrored(crease, side), socket, 0.7, 0.006, -0.006)
            rim = [*lower, (a - 0.4 * half, v + 0.75 * tall + 0.014), (a + 0.5 * half, v + 0.7 * tall + 0.014)]
            canvas.fill(mirrored(rim, side), times(person.skin, 0.6, 1.1), 0.7, 0.004)
        _brow(canvas, person, side, a, v, rng)


def _overlap(
    one: tuple[slice, slice], two: tuple[slice, slice]
) -> tuple[tuple[slice, slice], tuple[slice, slice], tuple[slice, slice]] | None:
    """Return the common window of two windows, in the canvas and in each of them; None if they do not meet."""
    rows = slice(max(one[0].start, two[0].start), min(one[0].stop, two[0].stop))
    columns = slice(max(one[1].start, two[1].start), min(one[1].stop, two[1].stop))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None

    def local(window: tuple[slice, slice]) -> tuple[slice, slice]:
        top, left = window[0].start, window[1].start
        return slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)

    return (rows, columns), local(one), local(two)


def _brow(canvas: Canvas, person: Person, side: float, a: float, v: float, rng: np.random.Generator) -> None:
    base = v - 0.19 - person.raised - 0.02 * person.child
    thick = 0.045 * person.brow
    frown = 0.03 * min(person.smile, 0.0)
    inner, outer = a - 0.15, a + 0.17
    brow = [
        (inner, base + 0.01 - frown),
        (a, base - 0.045 - thick / 2),
        (outer, base + 0.025),
        (a, base - 0.045 + thick / 2),
        (inner, base + 0.01 + thick - frown),
    ]
    colour = times(person.hair, 0.8) if sum(person.hair) < 1.5 else times(person.hair, 0.75)
    window, mask = canvas.shape(mirrored(brow, side), 0.012)
    if mask.size:
        grain = 0.85 + 0.2 * noise(rng, GRAINY, *mask.shape)
        canvas.tint(window, np.clip(mask * grain * np.float32(0.55 + 0.3 * person.brow), 0, 1), colour)
        canvas.colour[window][:, :, 3] += mask * np.float32(0.012)


def _nose(canvas: Canvas, person: Person) -> None:
    tip = nose_height(person)
    dark = times(person.skin, 0.30, 1.1)
    shade = times(person.skin, 0.72, 1.03)
    for side in (-1.0, 1.0):
        canvas.fill(ring(side * 0.075 * person.nose, tip + 0.085, 0.040 * person.nose, 0.020), dark, 0.85, 0.008)
        canvas.glow(side * 0.16 * person.nose, tip + 0.02, 0.05, 0.08, shade, 0.6)
        canvas.glow(side * 0.12, tip - 0.24, 0.05, 0.2, shade, 0.3)
    canvas.glow(0, tip + 0.13, 0.16, 0.04, shade, 0.75)
    canvas.glow(0, tip - 0.02, 0.05, 0.05, times(person.skin, 1.15), 0.4)


def _mouth(canvas: Canvas, person: Person) -> None:
    corner_a, corner_v = places(person)["right_mouth"]
    middle = mouth_height(person) + 0.01 + 0.02 * max(person.smile, 0.0)
    gap = 0.26 * min(person.open, 1.0)
    upper = 0.055 * person.full_lips
    lower = 0.075 * person.full_lips
    top, bottom = middle - 0.15 * gap, middle + 0.85 * gap
    left, right = (-corner_a, corner_v), (corner_a, corner_v)
    near = 0.55 * corner_a
    lips = [
        left,
        (-near, top - 0.7 * upper),
        (-0.05, top - upper),
        (0.0, top - 0.8 * upper),
        (0.05, top - upper),
        (near, top - 0.7 * upper),
        right,
        (near, bottom + 0.75 * lower),
        (0.0, bottom + lower),
        (-near, bottom + 0.75 * lower),
    ]
    canvas.glow(0, bottom + lower + 0.05, 0.16, 0.035, times(person.skin, 0.7, 1.03), 0.6, -0.012)
    canvas.fill(lips, person.lips, 0.95, 0.008, 0.02)
    canvas.glow(0, bottom + 0.5 * lower, 0.13, 0.03, times(person.lips, 1.25), 0.5)
    inside = times(person.lips, 0.25)
    if gap < 0.03:
        line = [left, (-near, middle + 0.012), (0, middle + 0.004), (near, middle + 0.012), right, (0, middle + 0.028)]
        canvas.fill(line, inside, 0.9, 0.004)
        return
    hole = [
        left,
        (-near, top),
        (0, top + 0.01),
        (near, top),
        right,
        (near, bottom),
        (0, bottom + 0.012),
        (-near, bottom),
    ]
    canvas.fill(hole, inside, 1.0, 0.003, -0.03)
    inner = 0.8 * corner_a
    teeth = min(0.075, 0.55 * gap)
    if person.smile > -0.2:
        edge = corner_v * 0.3 + top * 0.7
        upper_teeth = [(-inner, edge), (-near, top + 0.004), (0, top + 0.01), (near, top + 0.004), (inner, edge)]
        upper_teeth += [(near, top + teeth), (0, top + teeth + 0.01), (-near, top + teeth)]
        canvas.fill(upper_teeth, (0.80, 0.87, 0.90), 0.95, 0.003)
    if gap > 0.1:
        canvas.glow(0, bottom - 0.03, 0.12, 0.05, (0.35, 0.32, 0.62), 0.8)


def _beard(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    if person.beard == "none":
        return
    drop = jaw_drop(person)
    mouth = mouth_height(person)
    full = [(-0.92, -0.05), (-0.78, 0.1), (-0.62, 0.38), (-0.36, 0.46), (-0.2, mouth - 0.14), (0, mouth - 0.12)]
    full += [(-a, v) for a, v in reversed(full[:-1])] + [(0.92, 1.3), (-0.92, 1.3)]
    moustache = [
        (-0.30, mouth + 0.03),
        (-0.17, mouth - 0.13),
        (0, mouth - 0.11),
        (0.17, mouth - 0.13),
        (0.30, mouth + 0.03),
    ]
    moustache += [(0.12, mouth - 0.045), (0, mouth - 0.035), (-0.12, mouth - 0.045)]
    goatee = [
        (-0.2, mouth + 0.14 + drop),
        (0, mouth + 0.17 + drop),
        (0.2, mouth + 0.14 + drop),
        (0.24, 1.3),
        (-0.24, 1.3),
    ]
    strength = 0.35 if person.beard == "stubble" else 0.93
    shapes = {"stubble": [full], "moustache": [moustache], "goatee": [moustache, goatee]}
    opening = canvas.shape(ring(0, mouth + 0.03 + 0.1 * person.open, 0.25 * person.mouth, 0.085 + 0.15 * person.open))
    for points in shapes.get(person.beard, [full, moustache]):
        window, mask = canvas.shape(points, 0.035 if points is full else 0.015)
        grain = noise(rng, GRAINY, *mask.shape)
        if points is full:
            shared = _overlap(window, opening[0])
            if shared is not None:
                mask[shared[1]] *= 1 - opening[1][shared[2]]
        amount = np.clip(mask * (strength + 0.12 * grain), 0, 1)
        canvas.tint(window, amount, times(person.hair, 0.9))
        canvas.colour[window][:, :, 3] += mask * (0.015 + 0.01 * grain) * (strength > 0.5)
        canvas.cover[window][:, :, 2] *= 1 - 0.8 * mask


def _hairline(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    if person.style == "bald" or person.hat in ("hood", "scarf", "beanie", "helmet"):
        return
    strands = noise(rng, STRANDS, 1, canvas.width)[0]
    line = -0.97 - 0.05 * person.child + 0.05 * strands
    if person.style == "receding":
        line = line - 0.5 * np.exp(-((np.abs(canvas.a) - 0.25) ** 2) / 0.08)
    # The hair comes down before the ears and grows over the temples.
    temple = np.clip((np.abs(canvas.a) - 0.62) / 0.16, 0, 1) ** 2
    line = line + temple * 0.72
    edge = np.clip((line[None, :] - canvas.v[:, None]) * 14, 0, 1).astype(np.float32)
    burns = np.clip((np.abs(canvas.a) - 0.84) * 20, 0, 1)[None, :] * np.clip((0.15 - canvas.v) * 14, 0, 1)[:, None]
    amount = np.maximum(edge, burns.astype(np.float32))
    grain = noise(rng, STRANDS, canvas.height, canvas.width)
    strength = 0.6 if person.style == "crop" else 0.95
    window = (slice(0, canvas.height), slice(0, canvas.width))
    canvas.tint(window, np.clip(amount * (strength + 0.08 * grain), 0, 1), person.hair)
    canvas.cover[:, :, 0] = np.maximum(canvas.cover[:, :, 0], amount)
    canvas.colour[:, :, 3] += 0.015 * amount


def _wear(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    if person.hat in ("hood", "scarf"):
        narrow = 0.70 if person.hat == "scarf" else 0.78
        across = (np.abs(canvas.a)[None, :] / narrow) ** 2.5
        down = np.abs((canvas.v[:, None] - 0.06) / np.where(canvas.v < 0.06, 0.86, 0.93)[:, None]) ** 2.5
        amount = np.clip((across + down - 1) * 12, 0, 1).astype(np.float32)
        window = (slice(0, canvas.height), slice(0, canvas.width))
        canvas.tint(window, amount, person.hat_colour)
        canvas.cover[:, :, 0] = np.maximum(canvas.cover[:, :, 0], amount)
        canvas.colour[:, :, 3] += 0.06 * amount
    if person.wear == "mask":
        low = 1.02 + jaw_drop(person)
        top = 0.08 + float(rng.uniform(-0.12, 0.12))
        tight = [(-0.14, top), (0, top - 0.07), (0.14, top), (0.66, 0.22), (0.64, 0.70), (0.34, low), (-0.34, low)]
        tight += [(-0.64, 0.70), (-0.66, 0.22)]
        plain = (0.78, 0.66, 0.45) if chance(rng, 0.5) else person.wear_colour
        window, mask = canvas.shape(tight, 0.012)
        canvas.tint(window, mask, plain)
        part = canvas.colour[window]
        part[:, :, 3] += mask * 0.05
        folds = np.sin(canvas.v[window[0]] * 34)[:, None] * (np.abs(canvas.a[window[1]]) < 0.5)[None, :]
        part[:, :, 3] += mask * (0.008 * folds).astype(np.float32)
        canvas.cover[window][:, :, 1] = np.maximum(canvas.cover[window][:, :, 1], mask)
        canvas.cover[window][:, :, 2] *= 1 - mask
        for v in (0.26, 0.62):
            canvas.fill([(-1.1, v - 0.25), (-0.6, v), (-0.6, v + 0.03), (-1.1, v - 0.22)], plain, 0.9, 0.004)
            canvas.fill([(1.1, v - 0.25), (0.6, v), (0.6, v + 0.03), (1.1, v - 0.22)], plain, 0.9, 0.004)


def swapped(canvas: Canvas, kind: int) -> None:
    """Turn a face into none: upside down (0), its middle blank (1), or its parts out of place (2)."""
    rows = slice(canvas.height // 4, canvas.height * 9 // 10)
    part: NDArray[np.float32] = canvas.colour[rows]
    if kind == 0:
        part[:] = part[::-1].copy()
    elif kind == 1:
        part[:] = cv2.GaussianBlur(part, (0, 0), 0.22 * canvas.scale)
    else:
        bands = np.array_split(np.arange(part.shape[0]), 3)
        part[:] = part[np.concatenate([bands[2], bands[0][::-1], bands[1]])].copy()
        part[:] = np.roll(part, int(0.35 * canvas.scale), axis=1)
