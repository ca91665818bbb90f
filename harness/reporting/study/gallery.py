"""A gallery of found, missed and false faces: images in columns, networks in rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from harness.evaluation.ap import best_faces
from harness.reporting import style
from harness.reporting.study.data import Array, Example


@dataclass(frozen=True)
class Outcome:
    """What a network made of one image's faces: boxes (n, 4).

    Attributes:
        found: of the detections with the highest score on a face.
        missed: of the annotated faces without a detection.
        false: of all other detections, second ones on a face among them.
    """

    found: Array
    missed: Array
    false: Array


LINES: Mapping[str, dict[str, Any]] = {
    "found": {"edgecolor": style.GREEN, "linestyle": "-", "linewidth": 1.8},
    "missed": {"edgecolor": style.ORANGE, "linestyle": (0, (4, 2)), "linewidth": 1.8},
    "false": {"edgecolor": style.PURPLE, "linestyle": (0, (1, 1)), "linewidth": 2.2},
}
"""Attribute of ``Outcome`` → its boxes' lines: each has its own colour and its own dashes."""


def outcome(truth: Array, found: Array, least_score: float) -> Outcome:
    """Match detections to faces by the evaluator's rule (``evaluation.ap``).

    Args:
        truth: (n, 4) annotated faces.
        found: (m, 5) detections with scores.
        least_score: detections with a lower score do not count.
    """
    kept = found[found[:, 4] >= least_score]
    kept = kept[np.argsort(-kept[:, 4], kind="stable")]
    boxes, faces = kept[:, :4].astype(np.float64), truth.astype(np.float64)
    face = best_faces(boxes, np.zeros(len(boxes), np.int64), faces, np.zeros(len(faces), np.int64))
    seen, position = np.unique(face, return_index=True)
    first = np.zeros(len(face), dtype=np.bool_)
    first[position[seen >= 0]] = True
    return Outcome(boxes[first], np.delete(faces, face[first], axis=0), boxes[~first])


def gallery(images: Sequence[Example], headings: Mapping[str, str], least_score: float) -> Figure:
    """Draw the gallery; below each network's name are its numbers of boxes.

    Args:
        images: BGR.
        headings: label → heading of the rows.
        least_score: as for ``outcome``.
    """
    labels = [label for label in headings if any(label in image.found for image in images)]
    side = 1.75
    figure = Figure(figsize=(0.7 + side * len(images), 0.35 + side * len(labels)), layout="constrained")
    grid = figure.subplots(len(labels), len(images), squeeze=False)
    for row, label in zip(grid, labels, strict=True):
        counts = dict.fromkeys(LINES, 0)
        for axes, image in zip(row, images, strict=True):
            _show(axes, image.image)
            made = outcome(image.truth, image.found.get(label, np.zeros((0, 5))), least_score)
            for name in LINES:
                _boxes(axes, getattr(made, name), LINES[name])
                counts[name] += len(getattr(made, name))
        row[0].set_ylabel(headings[label], fontweight="bold", fontsize=9.5, labelpad=16)
        text = ", ".join(f"{count} {name}" for name, count in counts.items())
        style.write(row[0], text, (0, 0.5), (-4, 0), xycoords="axes fraction", **_BESIDE).set_in_layout(False)
    handles = [Rectangle((0, 0), 1, 1, fill=False, **line) for line in LINES.values()]
    names = ["found", "missed", "false"]
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9, handlelength=2.6)
    return figure


_BESIDE: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 7.5, "color": style.GREY}


def _show(axes: Axes, image: Array) -> None:
    axes.imshow(image[:, :, ::-1])
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _boxes(axes: Axes, boxes: Array, line: Mapping[str, Any]) -> None:
    around = [withStroke(linewidth=line["linewidth"] + 1.2, foreground="black")]
    for x1, y1, x2, y2 in boxes:
        axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, path_effects=around, **line))
