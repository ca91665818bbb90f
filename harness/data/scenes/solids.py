"""Unions of ellipsoids seen without perspective: depth, the visible solid and points on the surface, exactly.

Axes: x to the viewer's right, y down, z towards the viewer. A ray meets an ellipsoid where a quadratic has its roots,
so the depth map and the position of any surface point (a landmark) come from the same closed form.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data.scenes.tiles import Array

NOTHING = -50.0
"""Depth of a pixel in which no solid is seen."""


@dataclass(frozen=True)
class Solids:
    """K ellipsoids.

    Attributes:
        quadric: (K, 3, 3) float64; a point p lies on solid k where (p - centre)ᵀ quadric (p - centre) = 1.
        centre: (K, 3) float64.
        label: (K,) int64, what each solid is made of.
    """

    quadric: NDArray[np.float64]
    centre: NDArray[np.float64]
    label: NDArray[np.int64]

    def turned(self, rotation: NDArray[np.float64]) -> "Solids":
        """Return the solids rotated about the origin."""
        return Solids(rotation @ self.quadric @ rotation.T, self.centre @ rotation.T, self.label)


def ellipsoids(rows: list[tuple[float, ...]]) -> Solids:
    """Return solids from rows of label, centre x y z, radii x y z and, if wanted, tilts about x and z (radians)."""
    quadrics, centres, labels = [], [], []
    for label, cx, cy, cz, rx, ry, rz, *tilt in rows:
        quadric = np.diag([rx**-2, ry**-2, rz**-2])
        if tilt:
            turn = rotation(0.0, tilt[0], tilt[1] if len(tilt) > 1 else 0.0)
            quadric = turn @ quadric @ turn.T
        quadrics.append(quadric)
        centres.append((cx, cy, cz))
        labels.append(int(label))
    return Solids(np.array(quadrics), np.array(centres), np.array(labels))


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Return the matrix that turns by ``pitch`` about x, then ``yaw`` about y, then ``roll`` in the image, radians."""
    (cy, cp, cr), (sy, sp, sr) = np.cos((yaw, pitch, roll)), np.sin((yaw, pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


def cast(solids: Solids, x: Array, y: Array) -> Array:
    """Return each solid's depth (K, H, W) at columns ``x`` (W,) and rows ``y`` (H,); ``NOTHING`` beside it."""
    q = solids.quadric
    inverse = 1.0 / q[:, 2, 2]
    # With a = q/q_zz the front root is z = -(a_xz dx + a_yz dy) + sqrt(1/q_zz + (a_xz² - a_xx) dx² + …).
    xz, yz = q[:, 0, 2] * inverse, q[:, 1, 2] * inverse
    xx, xy, yy = xz**2 - q[:, 0, 0] * inverse, xz * yz - q[:, 0, 1] * inverse, yz**2 - q[:, 1, 1] * inverse
    dx = (x[None, :] - solids.centre[:, :1]).astype(np.float32)
    dy = (y[None, :] - solids.centre[:, 1:2]).astype(np.float32)
    single = [np.float32(1) * term.astype(np.float32)[:, None] for term in (xx, yy, xy, xz, yz, inverse)]
    xx32, yy32, xy32, xz32, yz32, inverse32 = single
    root = (2 * xy32 * dy)[:, :, None] * dx[:, None, :]
    root += (xx32 * dx * dx + inverse32)[:, None, :]
    root += (yy32 * dy * dy)[:, :, None]
    outside = root < 0
    np.maximum(root, 0, out=root)
    np.sqrt(root, out=root)
    root -= (xz32 * dx)[:, None, :]
    root += (solids.centre[:, 2:].astype(np.float32) - yz32 * dy)[:, :, None]
    root[outside] = NOTHING
    return np.asarray(root, dtype=np.float32)


def reach(solids: Solids, origin: NDArray[np.float64], direction: NDArray[np.float64]) -> float:
    """Return how far along ``direction`` from ``origin`` the union's outermost surface lies; 0 if no solid is met."""
    offset = origin - solids.centre
    a = np.einsum("i,kij,j->k", direction, solids.quadric, direction)
    b = np.einsum("i,kij,kj->k", direction, solids.quadric, offset)
    c = np.einsum("ki,kij,kj->k", offset, solids.quadric, offset) - 1
    root = b**2 - a * c
    met = root >= 0
    return float(max(0.0, ((-b + np.sqrt(np.maximum(root, 0))) / a)[met].max(initial=0.0)))
