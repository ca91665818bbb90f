"""Tiny WIDER FACE copies in both layouts and a face set, made on the spot."""

from pathlib import Path

import numpy as np
import pytest

from harness.data.faces import FaceSet, FaceSetWriter
from tests.data.tiny_widerface import NO_POINTS, TRAIN, VAL, points, write_images, write_mats


@pytest.fixture
def retinaface(tmp_path: Path) -> Path:
    """A copy in RetinaFace's layout; of 4 training faces, all but the second have landmarks."""
    root = tmp_path / "retinaface"
    write_images(root / "train" / "images", list(TRAIN))
    write_images(root / "val" / "images", list(VAL))
    lines = []
    for name, boxes in TRAIN.items():
        lines.append(f"# {name}.jpg")
        for row, box in enumerate(boxes):
            lines.append(f"{' '.join(map(str, box))} {points(box) if row != 1 else NO_POINTS} 0.5")
    (root / "train" / "label.txt").write_text("\n".join(lines) + "\n")
    (root / "val" / "wider_val.txt").write_text("".join(f"/{name}.jpg\n" for name in VAL))
    write_mats(root / "ground_truth", VAL)
    return root


@pytest.fixture
def official(tmp_path: Path) -> Path:
    """A copy in the official archives' layout."""
    root = tmp_path / "official"
    for split, boxes in (("train", TRAIN), ("val", VAL)):
        write_images(root / f"WIDER_{split}" / "images", list(boxes))
        lines = []
        for name, found in boxes.items():
            lines += [f"{name}.jpg", str(len(found))]
            lines += [f"{' '.join(map(str, box))} 0 0 0 0 0 0 " for box in found] or ["0 0 0 0 0 0 0 0 0 0 "]
        path = root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    write_mats(root / "wider_face_split", VAL)
    return root


@pytest.fixture
def faces(tmp_path: Path) -> FaceSet:
    """Twelve images of various sizes with one to four faces each, every second face without landmarks."""
    rng = np.random.default_rng(7)
    with FaceSetWriter(tmp_path / "faces", "test train") as writer:
        for index in range(12):
            height, width = rng.integers(70, 130, size=2)
            image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
            count = 1 + index % 4
            corner = rng.uniform(0, 30, (count, 2))
            boxes = np.concatenate([corner, corner + rng.uniform(12, 30, (count, 2))], axis=1)
            landmarks = np.tile(corner, 5) + 5
            landmarks[1::2] = np.nan
            writer.add(f"image_{index}", image, boxes, landmarks)
        return writer.finish()
