"""Unions of ellipsoids in parallel projection: depth map, visible solid and points on the surface, in closed form.

Axes: x to the viewer's right, y down, z towards the viewer. A ray meets an ellipsoid at the roots of a quadratic, so
the depth map and the position of any surface point (a landmark) come from the same formula.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.data.synthetic.tiles import Array

NOTHING = -50.0
"""Depth of a pixel that shows no solid."""


@dataclass(frozen=True)
class Solids:
    """K ellipsoids.

    Attributes:
        quadric: (K, 3, 3) float64; a point p lies on solid k where (p - centre)ᵀ quadric (p - centre) = 1.
        spread: (K, 3, 3) float64, the quadrics' inverses; the root of entry i, i is the solid's reach along axis i.
        centre: (K, 3) float64.
        label: (K,) int64, the material of each solid.
    """

    quadric: NDArray[np.float64]
    spread: NDArray[np.float64]
    centre: NDArray[np.float64]
    label: NDArray[np.int64]

    def turned(self, rotation: NDArray[np.float64]) -> "Solids":
        """Return the solids rotated about the origin."""
        back = rotation.T
        quadric, spread = rotation @ self.quadric @ back, rotation @ self.spread @ back
        return Solids(quadric, spread, self.centre @ back, self.label)

    def only(self, label: int) -> "Solids":
        """Return the solids of one label."""
        kept = self.label == label
        return Solids(self.quadric[kept], self.spread[kept], self.centre[kept], self.label[kept])


def ellipsoids(rows: list[tuple[float, ...]]) -> Solids:
    """Return solids from rows of label, centre x y z, radii x y z and, if wanted, tilts about x and z (radians)."""
    table = np.array([row[:7] for row in rows], dtype=np.float64)
    radii = table[:, 4:7]
    spread = np.zeros((len(rows), 3, 3))
    spread[:, (0, 1, 2), (0, 1, 2)] = radii**2
    quadric = np.zeros((len(rows), 3, 3))
    quadric[:, (0, 1, 2), (0, 1, 2)] = radii**-2
    tilted = [solid for solid, row in enumerate(rows) if len(row) > 7]
    if tilted:
        turns = np.array([rotation(0.0, *rows[solid][7:]) for solid in tilted])
        back = turns.transpose(0, 2, 1)
        spread[tilted] = turns @ spread[tilted] @ back
        quadric[tilted] = turns @ quadric[tilted] @ back
    return Solids(quadric, spread, table[:, 1:4], table[:, 0].astype(np.int64))


def rotation(yaw: float, pitch: float, roll: float = 0.0) -> NDArray[np.float64]:
    """Return the matrix that turns by ``pitch`` about x, then ``yaw`` about y, then ``roll`` in the image, radians."""
    cy, cp, cr = math.cos(yaw), math.cos(pitch), math.cos(roll)
    sy, sp, sr = math.sin(yaw), math.sin(pitch), math.sin(roll)
    return np.array(
        [
            [cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp],
            [sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp],
            [-sy, cy * sp, cy * cp],
        ]
    )


def extent(solids: Solids) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each solid's lowest and highest x, y, both (K, 2): the bounds of its outline in the image."""
    reach = np.sqrt(solids.spread[:, (0, 1), (0, 1)])
    return solids.centre[:, :2] - reach, solids.centre[:, :2] + reach


def cast(solids: Solids, x: Array, y: Array) -> tuple[Array, Array]:
    """Return the depth of the nearest surface and the label of its solid, both (H, W), at columns ``x`` and rows ``y``.

    Pixels without a solid have depth ``NOTHING`` and label -1. Columns and rows are evenly spaced.
    """
    depth = np.full((len(y), len(x)), NOTHING, dtype=np.float32)
    label = np.full((len(y), len(x)), -1, dtype=np.int8)
    low, high = extent(solids)
    left = np.searchsorted(x, low[:, 0]).tolist()
    right = np.searchsorted(x, high[:, 0]).tolist()
    top = np.searchsorted(y, low[:, 1]).tolist()
    bottom = np.searchsorted(y, high[:, 1]).tolist()
    # With q_zz = 1 the front root is z = -(q_xz dx + q_yz dy) + sqrt(1/q_zz + (q_xz² - q_xx) dx² + …).
    q = solids.quadric
    over = 1.0 / q[:, 2, 2]
    xz, yz = q[:, 0, 2] * over, q[:, 1, 2] * over
    xx, xy, yy = xz**2 - q[:, 0, 0] * over, 2 * (xz * yz - q[:, 0, 1] * over), yz**2 - q[:, 1, 1] * over
    table = np.stack([xx, xy, yy, xz, yz, over, *solids.centre.T], axis=1).tolist()
    labels = solids.label.tolist()
    # Beside a solid the square root is NaN, and a comparison with NaN is false.
    with np.errstate(invalid="ignore"):
        for solid, (axx, axy, ayy, axz, ayz, one, cx, cy, cz) in enumerate(table):
            window = slice(top[solid], bottom[solid]), slice(left[solid], right[solid])
            dx, dy = x[window[1]] - cx, y[window[0]] - cy
            root = (axy * dy)[:, None] * dx
            root += (axx * dx) * dx + one
            root += ((ayy * dy) * dy)[:, None]
            np.sqrt(root, out=root)
            root -= axz * dx
            root += (cz - ayz * dy)[:, None]
            part = depth[window]
            nearer = root > part
            np.copyto(part, root, where=nearer)
            np.copyto(label[window], labels[solid], where=nearer)
    return depth, label


def smooth_depth(depth: Array, label: Array, sigma: float) -> Array:
    """Return the depth map blurred by ``sigma`` pixels, which rounds creases off for the shading."""
    seen = label >= 0
    floor = float(depth[seen].min()) if seen.any() else 0.0
    filled = np.maximum(depth, floor - 0.3)
    return np.asarray(cv2.GaussianBlur(filled, (0, 0), max(sigma, 0.3)))


def reach(solids: Solids, origins: NDArray[np.float64], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance along each of N rays to the union's outermost surface, (N,); 0 where a ray meets no solid.

    Args:
        solids: K solids.
        origins, directions: (N, 3).
    """
    offset = origins[:, None] - solids.centre
    toward = directions[:, None, None, :] @ solids.quadric
    a = (toward @ directions[:, None, :, None])[..., 0, 0]
    b = (toward @ offset[..., None])[..., 0, 0]
    c = (offset[:, :, None, :] @ solids.quadric @ offset[..., None])[..., 0, 0] - 1
    root = b**2 - a * c
    far = np.where(root >= 0, (np.sqrt(np.maximum(root, 0)) - b) / a, 0.0)
    return np.asarray(far.max(axis=1, initial=0.0))
