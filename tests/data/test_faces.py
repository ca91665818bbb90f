import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data import faces as faces_module
from harness.data.faces import FaceSet, FaceSetWriter, choose, open_faceset
from harness.errors import DataError


def write(folder: Path, *, name: str = "x", pixel: int = 0, point: float = 3.0, first: str = "a") -> FaceSet:
    image = np.zeros((4, 6, 3), dtype=np.uint8)
    image[1, 2] = pixel
    landmarks = np.full((1, 10), point)
    with FaceSetWriter(folder, name) as writer:
        writer.notes = {"how": name}
        writer.add(first, image, np.array([[0, 1, 2, 3]]), landmarks, {"easy": np.array([True])})
        writer.add("b", image[:3, :5], np.zeros((0, 4)), np.zeros((0, 10)), {"easy": np.zeros(0, dtype=bool)})
        return writer.finish()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    faces = write(tmp_path / "set", pixel=9)
    assert len(faces) == 2
    assert faces.ids == ["a", "b"]
    assert faces.image(0).shape == (4, 6, 3)
    assert faces.image(0)[1, 2].tolist() == [9, 9, 9]
    assert faces.image(0).sum() == 27
    assert faces.image(1).shape == (3, 5, 3)
    boxes, landmarks = faces.faces(0)
    assert boxes.tolist() == [[0, 1, 2, 3]]
    assert boxes.dtype == landmarks.dtype == np.float32
    assert faces.faces(1)[0].shape == (0, 4)
    assert faces.notes == {"how": "x"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_pixels_cannot_be_changed(tmp_path: Path) -> None:
    image = write(tmp_path / "set").image(0)
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1


def test_a_pickled_set_is_its_path(tmp_path: Path) -> None:
    faces = write(tmp_path / "set", pixel=5)
    sent = pickle.dumps(faces)
    assert len(sent) < 500
    assert pickle.loads(sent).image(0)[1, 2, 0] == 5


def test_the_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    digests = [
        write(tmp_path / "1").digest,
        write(tmp_path / "2", name="other").digest,
        write(tmp_path / "3", pixel=1).digest,
        write(tmp_path / "4", point=4.0).digest,
        write(tmp_path / "5", first="c").digest,
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4
    assert len(digests[0]) == 16


def test_truth_needs_lists(tmp_path: Path, faces: FaceSet) -> None:
    with pytest.raises(DataError, match="an AP needs the search or val split"):
        faces.truth()
    with FaceSetWriter(tmp_path / "val", "val") as writer:
        image = np.zeros((8, 8, 3), dtype=np.uint8)
        for count in (2, 0, 1):
            boxes, points = np.arange(count * 4).reshape(-1, 4), np.zeros((count, 10))
            keep = {name: np.arange(count) == 0 for name in ("easy", "medium", "hard")}
            writer.add(str(count), image, boxes, points, keep)
        truth = writer.finish().truth()
    assert [len(boxes) for boxes in truth.boxes] == [2, 0, 1]
    assert truth.boxes[0].dtype == np.float64
    assert [mask.tolist() for mask in truth.keep["hard"]] == [[True, False], [], [True]]


def test_an_unfinished_set_leaves_nothing(tmp_path: Path) -> None:
    with FaceSetWriter(tmp_path / "set", "x") as writer:
        writer.add("a", np.zeros((4, 4, 3), dtype=np.uint8), np.zeros((0, 4)), np.zeros((0, 10)))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands in for the disk: the same call fails in the same way.
    def fill() -> None:
        with FaceSetWriter(tmp_path / "set", "x") as writer:
            for index in range(20):
                image = np.zeros((40, 40, 3), dtype=np.uint8)
                writer.add(str(index), image, np.zeros((0, 4)), np.zeros((0, 10)))

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_the_second_of_two_writers_opens_the_first_ones_set(tmp_path: Path) -> None:
    first = write(tmp_path / "set", pixel=1)
    second = write(tmp_path / "set", pixel=2)
    assert second.digest == first.digest
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("image", "boxes", "landmarks", "keep"),
    [
        (np.zeros((4, 4), dtype=np.uint8), 0, 0, None),
        (np.zeros((4, 4, 3), dtype=np.float32), 0, 0, None),
        (np.zeros((0, 4, 3), dtype=np.uint8), 0, 0, None),
        (np.zeros((4, 4, 3), dtype=np.uint8), 2, 1, None),
        (np.zeros((4, 4, 3), dtype=np.uint8), 2, 2, {"easy": np.ones(1, dtype=bool)}),
    ],
)
def test_wrong_shapes_are_refused(
    tmp_path: Path, image: np.ndarray, boxes: int, landmarks: int, keep: dict[str, np.ndarray] | None
) -> None:
    with FaceSetWriter(tmp_path / "set", "x") as writer, pytest.raises(DataError, match=r"^odd"):
        writer.add("odd", image, np.zeros((boxes, 4)), np.zeros((landmarks, 10)), keep)


def test_empty_and_double_sets_are_refused(tmp_path: Path) -> None:
    with FaceSetWriter(tmp_path / "set", "nothing") as writer, pytest.raises(DataError, match="no image"):
        writer.finish()
    with FaceSetWriter(tmp_path / "set", "twice") as writer:
        for _ in range(2):
            writer.add("same", np.zeros((4, 4, 3), dtype=np.uint8), np.zeros((0, 4)), np.zeros((0, 10)))
        with pytest.raises(DataError, match="two images named same"):
            writer.finish()


@pytest.mark.parametrize("damage", ["short pixels", "cut arrays", "no arrays", "garbled meta", "old format", "ids"])
def test_a_damaged_set_is_named(tmp_path: Path, damage: str) -> None:
    folder = write(tmp_path / "set").folder
    meta = json.loads((folder / "meta.json").read_text())
    if damage == "short pixels":
        (folder / "pixels.bin").write_bytes((folder / "pixels.bin").read_bytes()[:-1])
    elif damage == "cut arrays":
        (folder / "arrays.npz").write_bytes((folder / "arrays.npz").read_bytes()[:200])
    elif damage == "no arrays":
        (folder / "arrays.npz").unlink()
    elif damage == "garbled meta":
        (folder / "meta.json").write_text("{")
    elif damage == "old format":
        (folder / "meta.json").write_text(json.dumps({**meta, "format": 0}))
    else:
        (folder / "meta.json").write_text(json.dumps({**meta, "ids": ["a"]}))
    with pytest.raises(DataError, match=str(folder)):
        open_faceset(folder)


@pytest.mark.parametrize("file", ["pixels.bin", "arrays.npz", "meta.json"])
def test_a_flipped_bit_is_found_by_the_next_process(tmp_path: Path, file: str) -> None:
    folder = write(tmp_path / "set").folder
    content = bytearray((folder / file).read_bytes())
    marks = {"pixels.bin": (b"", 5), "arrays.npz": (b"NUMPY", 150), "meta.json": (b'"a"', 1)}
    mark, beyond = marks[file]
    content[content.index(mark) + beyond] ^= 1
    (folder / file).write_bytes(content)
    script = (
        f"from pathlib import Path; from harness.data.faces import open_faceset; open_faceset(Path({str(folder)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith(f"harness.errors.DataError: {folder} is ")


def test_the_content_is_compared_once_per_process_and_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, compared = write(tmp_path / "set").folder, list[int]()
    whole = faces_module._digest

    def watched(*given: Any) -> str:
        compared.append(1)
        return whole(*given)

    monkeypatch.setattr(faces_module, "_digest", watched)
    open_faceset(folder)
    assert compared == [], "what this process wrote needs no comparison"
    for times in (1, 1, 2, 2):
        if len(compared) < times:
            os.utime(folder / "pixels.bin", ns=(times, times))
        open_faceset(folder)
        assert len(compared) == times


def test_choices_are_drawn_by_seed_and_nest() -> None:
    assert choose(10, 0, 3).tolist() == list(range(10))
    assert choose(10, 12, 3).tolist() == list(range(10))
    small, large = choose(100, 10, 3), choose(100, 30, 3)
    assert (np.diff(small) > 0).all()
    assert set(small.tolist()) < set(large.tolist())
    assert choose(100, 10, 4).tolist() != small.tolist()
