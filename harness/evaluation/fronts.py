"""Pareto fronts of points whose coordinates are all minimised: dominance, hypervolume and knee point."""

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]


def dominated(points: Points) -> Mask:
    """Return (n,) bool: whether another of the points (n, m) is no worse in any coordinate and better in one.

    Equal points do not dominate each other.
    """
    return np.array([bool(((points <= one).all(1) & (points < one).any(1)).any()) for one in points], dtype=np.bool_)


def losses(points: Points, kept: Mask) -> Points:
    """Return how much the first coordinate gets worse (f,) at each point of the front if only ``kept`` points remain.

    A front's point is replaced by the best one of those kept that are no worse in all other coordinates; the loss is
    infinite if there is none, and 0 for a point that is kept. Equal points of the front count once. The largest of
    these losses is the largest one at any bounds on the other coordinates.

    Args:
        points: (n, m).
        kept: (n,) bool.
    """
    front, rest = np.unique(points[~dominated(points)], axis=0), points[kept]
    found = [rest[(rest[:, 1:] <= one[1:]).all(1), 0].min(initial=np.inf) - one[0] for one in front]
    return np.array(found, dtype=np.float64)


def hypervolume(points: Points, reference: Points) -> float:
    """Return the exact measure of the region that some of the points (n, m) dominate and ``reference`` (m,) bounds.

    Points that are not below the reference in every coordinate add nothing (Zitzler and Thiele, Multiobjective
    Optimization Using Evolutionary Algorithms – A Comparative Case Study, PPSN V, 1998). The region is cut into slices
    along its last coordinate.
    """
    inside = points[(points < reference).all(1)]
    if not len(inside):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - inside.min())
    inside = inside[inside[:, -1].argsort(kind="stable")]
    thickness = np.diff(inside[:, -1], append=reference[-1])
    if len(reference) == 2:
        return float(thickness @ (reference[0] - np.minimum.accumulate(inside[:, 0])))
    return sum(
        float(thick) * hypervolume(inside[: end + 1, :-1], reference[:-1])
        for end, thick in enumerate(thickness)
        if thick > 0
    )


def spread(points: Points, number: int) -> list[int]:
    """Return the positions of ``number`` points (n, m), or of all, each adding the most hypervolume to those before it.

    The reference point is 1 everywhere. Of points that add equally much, the first is taken. The volume of the chosen
    points is at least 63 % of the largest possible one (Guerreiro, Fonseca and Paquete, Greedy Hypervolume Subset
    Selection in Low Dimensions, Evolutionary Computation 24(3), 2016).
    """
    reference = np.ones(points.shape[1])
    chosen: list[int] = []
    while len(chosen) < min(number, len(points)):
        left = [position for position in range(len(points)) if position not in chosen]
        chosen.append(max(left, key=lambda position: hypervolume(points[[*chosen, position]], reference)))
    return chosen


def knee(front: Points) -> int | None:
    """Return the index of the knee of a front (n, m), or None if it has none.

    Coordinates are normalised to [0, 1] over the front. The knee is the point furthest from the plane on which they add
    up to 1, on the side of the ideal point; the first of several. For two objectives, that plane is the line through
    the two ends of the front (Das, On characterizing the "knee" of the Pareto curve based on Normal-Boundary
    Intersection, Structural Optimization 18, 1999). A front without a point on that side, or with fewer than three
    different ones, has no knee. Coordinates that are the same for all are left out; at least two must differ.
    """
    span = np.ptp(front, axis=0) if len(front) else np.zeros(0)
    differing = front[:, span > 0] if len(front) else front
    if len(np.unique(front, axis=0)) < 3 or differing.shape[1] < 2:
        return None
    sums = ((differing - differing.min(0)) / np.ptp(differing, axis=0)).sum(1)
    best = int(sums.argmin())
    return best if sums[best] < 1 - 1e-9 else None
