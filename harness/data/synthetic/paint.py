"""Paints a face on an unrolled head.

First, the skin gets soft light and dark areas (eye sockets, cheeks, the shade of the nose). Then features are drawn
with hard edges, and last beard, hairline and anything worn on the face. Details too fine for a small face are left out.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from harness.data.synthetic.anatomy import jaw_drop, mouth_height, nose_height, places
from harness.data.synthetic.person import Person
from harness.data.synthetic.tiles import GRAINY, MOTTLED, STRANDS, Array, Colour, chance, noise, vector

A_MAX, V_MIN, V_MAX = 1.35, -1.45, 1.35
Points = list[tuple[float, float]]
Window = tuple[slice, slice]
SHIFT = 4


@dataclass
class Glows:
    """Soft round spots on the skin: place, radii (at 1/e of the effect), and the effect at the centre.

    ``tone`` and ``flush`` are logarithms of factors, on all channels and on red alone; ``bump`` is a height.
    """

    rows: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, a: float, v: float, ra: float, rv: float, tone: float, flush: float = 0.0, bump: float = 0.0) -> None:
        """Add one spot."""
        self.rows.append((a, v, ra, rv, tone, flush, bump))

    def pair(
        self, a: float, v: float, ra: float, rv: float, tone: float, flush: float = 0.0, bump: float = 0.0
    ) -> None:
        """Add a spot on each side of the face."""
        self.add(-a, v, ra, rv, tone, flush, bump)
        self.add(a, v, ra, rv, tone, flush, bump)


class Canvas:
    """An unrolled head with ``scale`` pixels per head unit.

    Attributes:
        colour: (h, w, 3) BGR.
        cover: (h, w, 4): not part of the face, covered face, gloss, and the height of bumps in head units.
        a, v: positions of the columns and rows.
        spots: places of the landmarks.
    """

    def __init__(self, scale: float, spots: dict[str, tuple[float, float]]) -> None:
        self.scale = scale
        self.spots = spots
        self.height = round((V_MAX - V_MIN) * scale)
        self.width = round(2 * A_MAX * scale)
        self.colour: Array = np.empty((self.height, self.width, 3), dtype=np.float32)
        self.cover: Array = np.zeros((self.height, self.width, 4), dtype=np.float32)
        self.a: Array = (np.arange(self.width, dtype=np.float32) + 0.5) / scale - A_MAX
        self.v: Array = (np.arange(self.height, dtype=np.float32) + 0.5) / scale + V_MIN

    def lay(self, skin: Colour, glows: Glows, grain: Array) -> None:
        """Cover everything with ``skin`` × ``grain`` (h, w), lit and raised by ``glows``."""
        a, v, ra, rv, tone, flush, bump = np.array(glows.rows, dtype=np.float32).T[:, :, None]
        across = np.exp(-(((self.a - a) / ra) ** 2))
        down = np.exp(-(((self.v - v) / rv) ** 2)).T
        light = np.exp(down @ (across * tone)) * grain
        warm = light * np.exp(down @ (across * flush))
        self.colour[:] = cv2.merge([light * skin[0], light * skin[1], warm * skin[2]])
        self.cover[:, :, 3] = down @ (across * bump)

    def _fixed(self, points: Points, left: int = 0, top: int = 0) -> list[Array]:
        # fillPoly takes fixed-point numbers; 0 is the middle of the first pixel.
        offset = (A_MAX * self.scale - 0.5 - left, -V_MIN * self.scale - 0.5 - top)
        corners = np.array(points) * self.scale
        corners += offset
        corners *= 1 << SHIFT
        return [corners.astype(np.int32)]

    def draw(self, points: Points, colour: Colour) -> None:
        """Fill a polygon with a hard edge."""
        cv2.fillPoly(self.colour, self._fixed(points), colour, cv2.LINE_8, SHIFT)

    def shape(self, points: Points, soft: float = 0.0) -> tuple[Window, Array]:
        """Return a filled polygon's window and its coverage in [0, 1], its edge blurred by ``soft`` head units."""
        margin = 2 * soft + 1.5 / self.scale
        columns = [a for a, _ in points]
        rows = [v for _, v in points]
        left = max(0, int((min(columns) - margin + A_MAX) * self.scale))
        right = max(left, min(self.width, int((max(columns) + margin + A_MAX) * self.scale) + 2))
        top = max(0, int((min(rows) - margin - V_MIN) * self.scale))
        bottom = max(top, min(self.height, int((max(rows) + margin - V_MIN) * self.scale) + 2))
        window = slice(top, bottom), slice(left, right)
        mask = np.zeros((bottom - top, right - left), dtype=np.uint8)
        if mask.size == 0:
            return window, mask.astype(np.float32)
        cv2.fillPoly(mask, self._fixed(points, left, top), 255, cv2.LINE_AA, SHIFT)
        sigma = soft * self.scale
        if sigma > 0.4:
            mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), dtype=np.uint8)
        return window, mask.astype(np.float32) * np.float32(1 / 255)

    def tint(self, window: Window, amount: Array, colour: Colour) -> None:
        """Move the window's colour towards ``colour`` by ``amount`` (h, w)."""
        part = self.colour[window]
        full = cv2.merge([amount, amount, amount])
        part += (vector(colour) - part) * full

    def soften(self, points: Points, colour: Colour, alpha: float, soft: float, bump: float = 0.0) -> None:
        """Fill a polygon with a soft edge and raise it by ``bump``."""
        window, mask = self.shape(points, soft)
        if mask.size == 0:
            return
        self.tint(window, mask * np.float32(alpha), colour)
        if bump:
            self.cover[window][:, :, 3] += mask * np.float32(bump)


def times(colour: Colour, factor: float, red: float = 1.0) -> Colour:
    """Return ``colour`` × ``factor``, with the red channel multiplied by ``red`` too."""
    blue, green, last = colour
    return min(blue * factor, 1.0), min(green * factor, 1.0), min(last * factor * red, 1.0)


def mixed(one: Colour, two: Colour, share: float) -> Colour:
    """Return the colour between ``one`` (share 0) and ``two`` (share 1)."""
    blue, green, red = ((1 - share) * a + share * b for a, b in zip(one, two, strict=True))
    return blue, green, red


CIRCLE = [(float(np.cos(t)), float(np.sin(t))) for t in np.linspace(0, 2 * np.pi, 16, endpoint=False)]


def ring(a: float, v: float, ra: float, rv: float) -> Points:
    """Return an ellipse as a polygon."""
    return [(a + ra * c, v + rv * s) for c, s in CIRCLE]


def mirrored(points: Points, side: float) -> Points:
    """Return ``points`` with a times ``side`` (±1)."""
    return [(a * side, v) for a, v in points]


def paint_face(person: Person, scale: float, fine: bool, rng: np.random.Generator) -> Canvas:
    """Return ``person``'s face at ``scale`` pixels per head unit. ``fine`` adds details that only large faces show."""
    canvas = Canvas(scale, places(person))
    glows = Glows()
    _light_skin(glows, person, canvas.spots["right_eye"])
    grain = 1 + np.float32(0.025 + 0.03 * person.age) * noise(rng, MOTTLED, canvas.height, canvas.width)
    canvas.lay(person.skin, glows, grain)
    canvas.cover[:, :, 2] = person.oily
    if fine:
        _lines(canvas, person)
    for side in (-1.0, 1.0):
        _eye(canvas, person, side, fine)
        _brow(canvas, person, side)
        tip = nose_height(person)
        nostril = ring(side * 0.075 * person.nose, tip + 0.085, 0.042 * person.nose, 0.022)
        canvas.draw(nostril, times(person.skin, 0.34, 1.1))
    _mouth(canvas, person, fine)
    _beard(canvas, person, rng)
    _hairline(canvas, person, rng)
    _wear(canvas, person, rng)
    return canvas


def _light_skin(glows: Glows, person: Person, eye: tuple[float, float]) -> None:
    eye_a, eye_v = eye
    tip, nose = nose_height(person), person.nose
    dark = -0.22 - 0.16 * person.makeup
    glows.pair(eye_a, eye_v - 0.01, 0.19, 0.12, dark, 0.02, -0.035)
    glows.pair(0.12, eye_v, 0.07, 0.13, -0.15, 0.0, -0.02)
    glows.pair(eye_a, eye_v + 0.13, 0.15, 0.05, -0.06 - 0.14 * person.age, 0.0, -0.006)
    glows.pair(0.40, 0.22, 0.22, 0.20, -0.04, 0.10 + 0.14 * person.makeup)
    glows.pair(0.16 * nose, tip + 0.02, 0.05, 0.08, -0.20)
    glows.pair(0.12, tip - 0.24, 0.05, 0.20, -0.10)
    glows.add(0, tip, 0.14, 0.12, -0.03, 0.06)
    glows.add(0, tip + 0.13, 0.16, 0.04, -0.25)
    glows.add(0, tip - 0.03, 0.04, 0.05, 0.10)
    mouth = mouth_height(person)
    below = mouth + 0.24 * min(person.open, 1.0) + 0.075 * person.full_lips + 0.05
    glows.add(0, below, 0.16, 0.04, -0.22, 0.0, -0.014)
    glows.add(0, mouth, 0.20, 0.07, 0.0, 0.0, 0.02)
    glows.add(0, 1.22, 0.7, 0.16, -0.35)
    if person.lids < 0.2:
        glows.pair(eye_a, eye_v, 0.13, 0.07, 0.16, 0.0, 0.02)


def _lines(canvas: Canvas, person: Person) -> None:
    """Folds from the nose to the mouth, deeper with age and with a smile; wrinkles of the forehead."""
    depth = 0.18 + 0.5 * person.age + 0.3 * max(person.smile, 0.0)
    dark = times(person.skin, 0.62, 1.05)
    for side in (-1.0, 1.0):
        fold = [(0.17, 0.30), (0.27, 0.42), (0.33, 0.60), (0.31, 0.62), (0.25, 0.45), (0.15, 0.33)]
        canvas.soften(mirrored(fold, side), dark, min(0.7, depth), 0.02, -0.006 * depth)
    if person.age > 0.4:
        for line in range(3):
            v = -0.62 + 0.11 * line
            canvas.soften([(-0.35, v), (0, v - 0.03), (0.35, v), (0, v - 0.01)], dark, 0.6 * person.age, 0.01, -0.006)


def _eye(canvas: Canvas, person: Person, side: float, fine: bool) -> None:
    a, v = canvas.spots["right_eye"]
    half, tall = 0.135 * person.eye, 0.062 * person.eye * person.lids
    lash = times(person.hair, 0.5) if sum(person.hair) < 1.4 else times(person.skin, 0.35)
    if tall < 0.012:
        canvas.draw(mirrored([(a - half, v), (a, v + 0.03), (a + half, v), (a, v + 0.06)], side), lash)
        return
    upper = [(a - half, v + 0.015), (a - 0.6 * half, v - 0.75 * tall), (a, v - tall), (a + 0.6 * half, v - 0.8 * tall)]
    lower = [(a + half, v - 0.008), (a + 0.5 * half, v + 0.7 * tall), (a - 0.4 * half, v + 0.75 * tall)]
    if fine:
        rim = [*lower, (a - 0.4 * half, v + 0.75 * tall + 0.02), (a + 0.5 * half, v + 0.7 * tall + 0.02)]
        canvas.soften(mirrored(rim, side), times(person.skin, 0.6, 1.1), 0.7, 0.004)
        socket = times(person.skin, 0.62, 1.02)
        crease = [(a - half, v - 0.02), (a, v - tall - 0.065), (a + half, v - 0.03), (a, v - tall - 0.045)]
        canvas.soften(mirrored(crease, side), socket, 0.7, 0.006, -0.006)
    x, y = side * a + person.gaze[0] * 0.5 * half, v + person.gaze[1] * tall - 0.004
    radius = 0.066 * person.eye**0.5
    # The iris is drawn on white, and both are cut to the opening of the lids.
    window, almond = canvas.shape(mirrored(upper + lower, side))
    before = canvas.colour[window].copy()
    canvas.colour[window] = (0.84, 0.86, 0.88)
    canvas.draw(ring(x, y, radius, radius), person.iris)
    canvas.draw(ring(x, y, 0.45 * radius, 0.45 * radius), (0.02, 0.02, 0.02))
    if fine:
        canvas.draw(ring(x - 0.02, y - 0.025, 0.015, 0.015), (1.0, 1.0, 1.0))
    part = canvas.colour[window]
    part[:] = before + (part - before) * cv2.merge([almond, almond, almond])
    thick = 0.024 + 0.03 * person.makeup
    lid = [*upper, (a + half + 0.02, v - 0.012), (a + 0.6 * half, v - 0.8 * tall - thick)]
    lid += [(a, v - tall - thick), (a - 0.6 * half, v - 0.75 * tall - thick)]
    canvas.draw(mirrored(lid, side), lash)


def _brow(canvas: Canvas, person: Person, side: float) -> None:
    a, v = canvas.spots["right_eye"]
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
    canvas.soften(mirrored(brow, side), colour, min(0.95, 0.55 + 0.3 * person.brow), 0.012, 0.012)


def _mouth(canvas: Canvas, person: Person, fine: bool) -> None:
    corner_a, corner_v = canvas.spots["right_mouth"]
    middle = mouth_height(person) + 0.01 + 0.02 * max(person.smile, 0.0)
    gap = 0.26 * min(person.open, 1.0)
    upper, lower = 0.055 * person.full_lips, 0.075 * person.full_lips
    top, bottom = middle - 0.15 * gap, middle + 0.85 * gap
    left, right = (-corner_a, corner_v), (corner_a, corner_v)
    near = 0.55 * corner_a
    lips = [left, (-near, top - 0.7 * upper), (-0.05, top - upper), (0.0, top - 0.8 * upper), (0.05, top - upper)]
    lips += [(near, top - 0.7 * upper), right, (near, bottom + 0.75 * lower), (0.0, bottom + lower)]
    lips += [(-near, bottom + 0.75 * lower)]
    canvas.soften(lips, person.lips, 0.95, 0.008, 0.012)
    if fine:
        canvas.soften(ring(0, bottom + 0.5 * lower, 0.10, 0.02), times(person.lips, 1.3), 0.5, 0.02)
    inside = times(person.lips, 0.25)
    if gap < 0.03:
        line = [left, (-near, middle + 0.012), (0, middle + 0.004), (near, middle + 0.012), right, (0, middle + 0.028)]
        canvas.draw(line, inside)
        return
    hole = [left, (-near, top), (0, top + 0.01), (near, top), right]
    canvas.draw([*hole, (near, bottom), (0, bottom + 0.012), (-near, bottom)], inside)
    if gap > 0.1 and fine:
        canvas.soften(ring(0, bottom - 0.03, 0.12, 0.04), (0.35, 0.32, 0.62), 0.8, 0.02)
    if person.smile > -0.2:
        inner, teeth = 0.8 * corner_a, min(0.075, 0.55 * gap)
        edge = corner_v * 0.3 + top * 0.7
        row = [(-inner, edge), (-near, top + 0.004), (0, top + 0.01), (near, top + 0.004), (inner, edge)]
        canvas.draw([*row, (near, top + teeth), (0, top + teeth + 0.01), (-near, top + teeth)], (0.80, 0.87, 0.90))


def _beard(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    if person.beard == "none":
        return
    drop, mouth = jaw_drop(person), mouth_height(person)
    full = [(-0.92, -0.05), (-0.78, 0.1), (-0.62, 0.38), (-0.36, 0.46), (-0.2, mouth - 0.14), (0, mouth - 0.12)]
    full += [(-a, v) for a, v in reversed(full[:-1])] + [(0.92, 1.3), (-0.92, 1.3)]
    moustache = [(-0.30, mouth + 0.03), (-0.17, mouth - 0.13), (0, mouth - 0.11), (0.17, mouth - 0.13)]
    moustache += [(0.30, mouth + 0.03), (0.12, mouth - 0.045), (0, mouth - 0.035), (-0.12, mouth - 0.045)]
    chin = mouth + 0.14 + drop
    goatee = [(-0.2, chin), (0, chin + 0.03), (0.2, chin), (0.24, 1.3), (-0.24, 1.3)]
    strength = 0.35 if person.beard == "stubble" else 0.93
    shapes = {"stubble": [full], "moustache": [moustache], "goatee": [moustache, goatee]}
    for points in shapes.get(person.beard, [full, moustache]):
        window, mask = canvas.shape(points, 0.035 if points is full else 0.015)
        grain = noise(rng, GRAINY, *mask.shape)
        if points is full:
            # The beard does not cover the lips and the open mouth.
            reach = ((canvas.a[window[1]] / (0.25 * person.mouth)) ** 2)[None, :]
            reach = (
                reach
                + (((canvas.v[window[0]] - mouth - 0.03 - 0.1 * person.open) / (0.085 + 0.15 * person.open)) ** 2)[
                    :, None
                ]
            )
            mask = mask * np.clip((reach - 1) * 3, 0, 1)
        canvas.tint(window, np.minimum(mask * np.maximum(strength + 0.12 * grain, 0), 1), times(person.hair, 0.9))
        cover = canvas.cover[window]
        cover[:, :, 3] += mask * (0.015 + 0.01 * grain) * (strength > 0.5)
        cover[:, :, 2] *= 1 - 0.8 * mask


def _hairline(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    if person.style == "bald" or person.hat in ("hood", "scarf", "beanie", "helmet"):
        return
    strands = noise(rng, STRANDS, 1, canvas.width)[0]
    aside = np.abs(canvas.a)
    line = -0.97 - 0.05 * person.child + 0.05 * strands
    if person.style == "receding":
        line = line - 0.5 * np.exp(-((aside - 0.25) ** 2) / 0.08)
    # Hair covers the temples and the skin in front of the ears.
    line = line + np.clip((aside - 0.62) / 0.16, 0, 1) ** 2 * 0.72
    line = np.maximum(line, np.clip((aside - 0.84) * 20, 0, 1) * 1.6 - 1.45)
    last = int(np.searchsorted(canvas.v, 0.25))
    window = slice(0, last), slice(0, canvas.width)
    amount = np.clip((line[None, :] - canvas.v[:last, None]) * 14, 0, 1)
    grain = noise(rng, STRANDS, last, canvas.width)
    strength = 0.6 if person.style == "crop" else 0.95
    canvas.tint(window, np.clip(amount * (strength + 0.08 * grain), 0, 1), person.hair)
    canvas.cover[window][:, :, 0] = amount
    canvas.cover[window][:, :, 3] += 0.015 * amount


def _wear(canvas: Canvas, person: Person, rng: np.random.Generator) -> None:
    if person.hat in ("hood", "scarf"):
        narrow = 0.70 if person.hat == "scarf" else 0.78
        across = (np.abs(canvas.a)[None, :] / narrow) ** 2.5
        down = np.abs((canvas.v[:, None] - 0.06) / np.where(canvas.v < 0.06, 0.86, 0.93)[:, None]) ** 2.5
        amount = np.clip((across + down - 1) * 12, 0, 1).astype(np.float32)
        canvas.tint((slice(0, canvas.height), slice(0, canvas.width)), amount, person.hat_colour)
        canvas.cover[:, :, 0] = np.maximum(canvas.cover[:, :, 0], amount)
        canvas.cover[:, :, 3] += 0.06 * amount
    if person.wear == "mask":
        low, top = 1.02 + jaw_drop(person), 0.08 + float(rng.uniform(-0.12, 0.12))
        tight = [(-0.14, top), (0, top - 0.07), (0.14, top), (0.66, 0.22), (0.64, 0.70), (0.34, low), (-0.34, low)]
        tight += [(-0.64, 0.70), (-0.66, 0.22)]
        plain = (0.78, 0.66, 0.45) if chance(rng, 0.5) else person.wear_colour
        for v in (0.26, 0.62):
            canvas.draw([(-1.1, v - 0.25), (-0.6, v), (-0.6, v + 0.03), (-1.1, v - 0.22)], plain)
            canvas.draw([(1.1, v - 0.25), (0.6, v), (0.6, v + 0.03), (1.1, v - 0.22)], plain)
        window, mask = canvas.shape(tight, 0.012)
        canvas.tint(window, mask, plain)
        cover = canvas.cover[window]
        folds = np.sin(canvas.v[window[0]] * 34)[:, None] * (np.abs(canvas.a[window[1]]) < 0.5)[None, :]
        cover[:, :, 3] = cover[:, :, 3] * (1 - mask) + mask * (0.05 + 0.008 * folds)
        cover[:, :, 1] = np.maximum(cover[:, :, 1], mask)
        cover[:, :, 2] *= 1 - mask


def swapped(canvas: Canvas, kind: int) -> None:
    """Turn a painted face into a non-face, in place: upside down (0), blurred (1), or with misplaced parts (2)."""
    rows = slice(canvas.height // 4, canvas.height * 9 // 10)
    for part in (canvas.colour[rows], canvas.cover[rows, :, 3]):
        if kind == 0:
            part[:] = part[::-1].copy()
        elif kind == 1:
            part[:] = cv2.GaussianBlur(part, (0, 0), 0.22 * canvas.scale)
        else:
            bands = np.array_split(np.arange(part.shape[0]), 3)
            moved = part[np.concatenate([bands[2], bands[0][::-1], bands[1]])]
            part[:] = np.roll(moved, int(0.35 * canvas.scale), axis=1)
