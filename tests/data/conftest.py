"""Tiny WIDER FACE copies in both layouts and a face set, made on the spot."""

from pathlib import Path

import numpy as np
import pytest

from harness.data.faces import FaceSet, FaceSetWriter
from tests.data.tiny_widerface import TRAIN, VAL, write_images, write_mats, write_retinaface


@pytest.fixture
def retinaface(tmp_path: Path) -> Path:
    """A copy in RetinaFace's layout; of 4 training faces, all but the second have landmarks."""
    return write_retinaface(tmp_path / "retinaface", TRAIN)


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
