"""The face heights that best reproduce WIDER FACE's easy, medium and hard lists, and how well they do.

    python benchmarks/search_lists.py PATH/TO/WIDERFACE

writes ``benchmarks/results/search_lists.json``. The search split consists of training images, which have no official
lists, so ``harness/data/lists.py`` uses these limits. The limit of a list is the half-integer height up to 100.5 pixels
with the highest F1 over the faces of the whole official validation set. Agreement is also given for

- the validation images on disk, with heights scaled to a width and, for comparison, to a longer side of 1,024 pixels;
- those training images on disk that are in the official validation set, with the same number of faces: in a reduced
  copy, they show the effect of the rounding of its labels.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.decode import read_image
from harness.data.lists import LEAST_HEIGHT, WIDTH
from harness.data.truth import LISTS, GroundTruth, load_ground_truth
from harness.data.widerface import Annotations, find_layout, read_annotations

ROOT = Path(__file__).parent.parent
LIMITS = np.arange(0.5, 101)


def agreement(chosen: NDArray[np.bool_], listed: NDArray[np.bool_]) -> dict[str, float]:
    """Return measures of how well ``chosen`` reproduces ``listed``, both (n,) bool."""
    both = int((chosen & listed).sum())
    recall, rejected = both / listed.sum(), (~chosen & ~listed).sum() / (~listed).sum()
    return {
        "f1": round(2 * both / int(chosen.sum() + listed.sum()), 4),
        "precision": round(both / int(chosen.sum()), 4),
        "recall": round(recall, 4),
        "balanced_accuracy": round((recall + rejected) / 2, 4),
    }


def heights(boxes: Iterable[NDArray[np.float64]], scales: Iterable[float]) -> NDArray[np.float64]:
    """Return the heights of all faces, multiplied by the scale of their image."""
    return np.concatenate([(b[:, 3] - b[:, 1]) * scale for b, scale in zip(boxes, scales, strict=True)])


def by_limits(height: NDArray[np.float64], truth: GroundTruth) -> dict[str, dict[str, float]]:
    """Return how well the harness's limits reproduce each list of ``truth``."""
    return {name: agreement(height >= LEAST_HEIGHT[name], np.concatenate(truth.keep[name])) for name in LISTS}


def corresponding(train: Annotations, truth: GroundTruth) -> tuple[GroundTruth, NDArray[np.float64]]:
    """Return the official ground truth of the training images that it covers, and the scaled heights of their faces."""
    rows = {identity: row for row, identity in enumerate(truth.ids)}
    covered = [entry for entry in train.entries if entry.identity in rows]
    covered = [entry for entry in covered if len(entry.boxes) == len(truth.boxes[rows[entry.identity]])]
    widths = [read_image(entry.path).shape[1] for entry in covered]
    found = truth.pick(rows[entry.identity] for entry in covered)
    return found, heights([entry.boxes for entry in covered], [WIDTH / width for width in widths])


def main() -> None:
    """Compute, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("widerface", type=Path)
    given = parser.parse_args()
    layout = find_layout(given.widerface, "val")
    assert layout.truth is not None
    truth = load_ground_truth(layout.truth)
    # Every official image is WIDTH pixels wide, as the images on disk below confirm: no scale is needed.
    height = heights(truth.boxes, [1.0] * len(truth.ids))
    limits = {}
    for name in LISTS:
        listed = np.concatenate(truth.keep[name])
        best = LIMITS[np.argmax([agreement(height >= limit, listed)["f1"] for limit in LIMITS])]
        limits[name] = {"least_height": float(best), "listed": int(listed.sum()), **agreement(height >= best, listed)}
    entries = read_annotations(layout, "val").entries
    sizes = [read_image(entry.path).shape[:2] for entry in entries]
    here = truth.pick([truth.ids.index(entry.identity) for entry in entries])
    result: dict[str, Any] = {
        "images": len(truth.ids),
        "faces": len(height),
        "width": WIDTH,
        "limits": limits,
        "on_disk": {
            "images": len(entries),
            "as_wide_as_official": sum(width == WIDTH for _, width in sizes),
            "by_width": by_limits(heights(here.boxes, [WIDTH / width for _, width in sizes]), here),
            "by_longer_side": by_limits(heights(here.boxes, [WIDTH / max(size) for size in sizes]), here),
        },
    }
    covered, copied = corresponding(read_annotations(find_layout(given.widerface, "train"), "train"), truth)
    if covered.ids:
        result["training_images_with_official_lists"] = {
            "images": len(covered.ids),
            "faces": covered.faces,
            **by_limits(copied, covered),
        }
    result["command"] = "python benchmarks/search_lists.py PATH/TO/WIDERFACE"
    text = json.dumps(result, indent=1)
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "search_lists.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
