"""Builds tiny WIDER FACE copies."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from tests.mat import column

Boxes = list[tuple[int, int, int, int]]

NO_POINTS = " ".join(["-1.0 -1.0 -1.0"] * 5)
TRAIN: dict[str, Boxes] = {
    "0--Parade/a": [(10, 12, 20, 30), (50, 40, 16, 16)],
    "0--Parade/b": [],
    "1--Handshaking/c": [(5, 5, 40, 50)],
    "1--Handshaking/d": [(60, 8, 12, 14)],
}
VAL: dict[str, Boxes] = {"0--Parade/v": [(4, 6, 20, 24), (40, 40, 8, 8)], "1--Handshaking/w": [(10, 10, 30, 30)]}


def write_images(folder: Path, names: list[str], height: int = 72, width: int = 96) -> None:
    for index, name in enumerate(names):
        path = folder / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = np.random.default_rng(index).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
        assert cv2.imwrite(str(path), image)


def write_mats(folder: Path, boxes: dict[str, Boxes]) -> None:
    """Write the four ground truth files; easy holds each image's first face, medium and hard all."""
    folder.mkdir(parents=True, exist_ok=True)
    events = sorted({name.split("/")[0] for name in boxes})
    members = {event: [name for name in boxes if name.startswith(event)] for event in events}

    def cells(value: Callable[[str], NDArray[np.generic] | str]) -> NDArray[np.object_]:
        return column([column([value(name) for name in members[event]]) for event in events])

    def listed(most: int) -> NDArray[np.object_]:
        return cells(lambda name: np.arange(1, min(most, len(boxes[name])) + 1).reshape(-1, 1))

    faces = cells(lambda name: np.array(boxes[name], dtype=np.float64).reshape(-1, 4))
    files = cells(lambda name: name.split("/")[1])
    savemat(folder / "wider_face_val.mat", {"event_list": column(events), "file_list": files, "face_bbx_list": faces})
    for level in ("easy", "medium", "hard"):
        savemat(folder / f"wider_{level}_val.mat", {"gt_list": listed(1 if level == "easy" else 1_000)})


def points(box: tuple[int, int, int, int]) -> str:
    """Five landmarks inside the box, as RetinaFace's label file has them."""
    x, y, w, h = box
    places = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    return " ".join(f"{x + u * w:.2f} {y + v * h:.2f} 0.0" for u, v in places)


def write_retinaface(root: Path, train: dict[str, Boxes]) -> Path:
    """Write a copy in RetinaFace's layout and return its folder; the second face of an image has no landmarks."""
    write_images(root / "train" / "images", list(train))
    write_images(root / "val" / "images", list(VAL))
    lines = []
    for name, boxes in train.items():
        lines.append(f"# {name}.jpg")
        for row, box in enumerate(boxes):
            lines.append(f"{' '.join(map(str, box))} {points(box) if row != 1 else NO_POINTS} 0.5")
    (root / "train" / "label.txt").write_text("\n".join(lines) + "\n")
    (root / "val" / "wider_val.txt").write_text("".join(f"/{name}.jpg\n" for name in VAL))
    write_mats(root / "ground_truth", VAL)
    return root
