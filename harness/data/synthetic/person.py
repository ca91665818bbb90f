"""A random person: features, hair, accessories and expression, as plain numbers.

Lengths are head units: hairline at v = -1, chin at v = +1; ``a`` runs along the surface from the middle of the face to
the viewer's right.
"""

from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from harness.data.synthetic.tiles import Colour, any_colour, chance, clamp, jitter

SKINS: tuple[Colour, ...] = (
    (0.78, 0.87, 0.99),
    (0.68, 0.78, 0.95),
    (0.60, 0.72, 0.90),
    (0.50, 0.64, 0.85),
    (0.38, 0.53, 0.76),
    (0.28, 0.41, 0.63),
    (0.20, 0.31, 0.49),
    (0.15, 0.22, 0.36),
    (0.11, 0.16, 0.26),
)
"""Skin tones from light to dark."""

HAIRS: tuple[Colour, ...] = (
    (0.06, 0.07, 0.08),
    (0.09, 0.11, 0.15),
    (0.12, 0.18, 0.27),
    (0.20, 0.32, 0.46),
    (0.38, 0.58, 0.75),
    (0.12, 0.25, 0.55),
    (0.62, 0.64, 0.66),
    (0.85, 0.86, 0.87),
)
"""Hair: black, dark, brown, light brown, blond, red, grey, white."""

IRISES: tuple[Colour, ...] = ((0.06, 0.10, 0.18), (0.08, 0.16, 0.30), (0.45, 0.38, 0.28), (0.30, 0.42, 0.30))

STYLES = ("bald", "short", "crop", "side", "fringe", "long", "long_fringe", "bob", "afro", "bun", "receding")
HATS = ("none", "beanie", "cap", "brim", "helmet", "hood", "scarf", "band")
WEARS = ("none", "glasses", "sunglasses", "mask", "goggles")
BEARDS = ("none", "stubble", "moustache", "goatee", "full", "long")


@dataclass(frozen=True)
class Person:
    """A person's head: features, hair, accessories and expression."""

    skin: Colour
    hair: Colour
    lips: Colour
    iris: Colour
    style: str
    hat: str
    hat_colour: Colour
    hat_second: Colour
    wear: str
    wear_colour: Colour
    beard: str
    wide: float
    jaw: float
    nose: float
    nose_length: float
    eye: float
    brow: float
    mouth: float
    full_lips: float
    age: float
    child: float
    makeup: float
    smile: float
    open: float
    lids: float
    raised: float
    gaze: tuple[float, float]
    oily: float


def _pick(rng: np.random.Generator, names: tuple[str, ...], weights: tuple[float, ...]) -> str:
    return names[bisect(list(accumulate(weights)), rng.random() * sum(weights), hi=len(names) - 1)]


def sample_person(rng: np.random.Generator) -> Person:
    """Return a random person with a random expression."""
    tone = rng.random() * (len(SKINS) - 1)
    low = int(tone)
    share = tone - low
    mixed = [(1 - share) * a + share * b for a, b in zip(SKINS[low], SKINS[min(low + 1, len(SKINS) - 1)], strict=True)]
    skin = jitter(rng, (mixed[0], mixed[1], mixed[2]), 0.03)
    child = float(chance(rng, 0.15)) * rng.uniform(0.4, 1.0)
    age = 0.0 if child else float(rng.beta(1.2, 2.2))
    male = 0.0 if child else rng.random()
    if age > 0.6:
        shade = int(rng.integers(5, 8))
    else:
        shade = int(rng.choice((0, 1, 2) if tone > 4.5 and chance(rng, 0.9) else (0, 1, 2, 2, 3, 4, 5)))
    hair = any_colour(rng, 0.9) if chance(rng, 0.03) else jitter(rng, HAIRS[shade], 0.03)
    if male > 0.5:
        weights = (1.2, 3.0, 2.0, 1.5, 0.8, 0.4, 0.1, 0.2, 0.5, 0.1, 1.5 * age + 0.2)
    else:
        weights = (0.1, 0.8, 0.3, 1.2, 0.8, 3.0, 1.8, 1.6, 0.6, 1.3, 0.0)
    red = rng.uniform(0.0, 1.0) * (1 - male)
    lips = (skin[0] * (0.72 - 0.1 * red), skin[1] * (0.66 - 0.2 * red), skin[2] * 0.88)
    lips = (0.22, 0.16, 0.66) if male < 0.4 and not child and chance(rng, 0.25) else lips
    hairy = male > 0.45 and not child
    return Person(
        skin=skin,
        hair=hair,
        lips=lips,
        iris=IRISES[0 if tone > 4 or chance(rng, 0.5) else int(rng.integers(len(IRISES)))],
        style=_pick(rng, STYLES, weights),
        hat=_pick(rng, HATS, (14.0, 0.9, 1.3, 0.7, 0.7, 0.5, 0.8, 0.3)),
        hat_colour=any_colour(rng, 0.9),
        hat_second=any_colour(rng, 0.9),
        wear=_pick(rng, WEARS, (14.0, 3.2, 1.5, 1.1, 0.2)),
        wear_colour=any_colour(rng, 0.4),
        beard=_pick(rng, BEARDS, (5.0, 1.5, 0.7, 0.7, 1.4, 0.4)) if hairy else "none",
        wide=clamp(rng.normal(1, 0.06), 0.86, 1.16),
        jaw=clamp(rng.normal(0.96 + 0.08 * male, 0.06) - 0.04 * child, 0.8, 1.16),
        nose=clamp(rng.normal(1.0 - 0.25 * child, 0.15), 0.6, 1.4),
        nose_length=clamp(rng.normal(1 - 0.15 * child, 0.08), 0.75, 1.2),
        eye=clamp(rng.normal(1 + 0.22 * child, 0.12), 0.75, 1.4),
        brow=clamp(rng.normal(0.8 + 0.5 * male - 0.4 * child, 0.2), 0.3, 1.6),
        mouth=clamp(rng.normal(1 - 0.15 * child, 0.1), 0.75, 1.3),
        full_lips=clamp(rng.normal(1.1 - 0.25 * male, 0.2), 0.5, 1.6),
        age=age,
        child=child,
        makeup=float(male < 0.45 and not child and chance(rng, 0.4)) * rng.uniform(0.4, 1.0),
        smile=clamp(rng.normal(0.25, 0.45), -0.7, 1.0),
        open=float(max(0.0, rng.normal(-0.1, 0.45))) if chance(rng, 0.65) else 0.0,
        lids=clamp(rng.normal(0.9, 0.2), 0.0, 1.25) if chance(rng, 0.93) else 0.0,
        raised=float(rng.normal(0, 0.05)),
        gaze=(clamp(rng.normal(0, 0.35), -0.8, 0.8), clamp(rng.normal(0, 0.2), -0.5, 0.5)),
        oily=float(rng.uniform(0.1, 0.9)),
    )
