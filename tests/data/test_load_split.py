import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.arch import ARCHS
from harness.core.protocol import DataConfig, EvalConfig, TrainConfig
from harness.data import load_held_out, load_split
from harness.data.faces import FaceSet
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.training.loop import Job, evaluate
from tests.data.tiny_widerface import NO_POINTS, TRAIN, VAL


def config(root: Path, **changes: Any) -> DataConfig:
    return replace(DataConfig(source=str(root), size=32, train_images=0, val_images=0), **changes)


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("layout", ["retinaface", "official"])
def test_both_layouts_give_the_same_images(layout: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    root = request.getfixturevalue(layout)
    train, val = (load_split(config(root), split, tmp_path / "cache") for split in ("train", "val"))
    assert train.ids == list(TRAIN)
    assert val.ids == list(VAL)
    assert len(train.boxes) == 4
    assert np.isfinite(train.landmarks).all(axis=1).sum() == (3 if layout == "retinaface" else 0)
    assert val.shapes.tolist() == [[72, 96]] * 2
    assert val.truth().faces == 3
    assert {name: int(mask.sum()) for name, mask in val.keep.items()} == {"easy": 2, "medium": 3, "hard": 3}
    assert train.name == "widerface train"


def test_the_second_time_nothing_is_decoded(retinaface: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    first = load_split(config(retinaface), "train", tmp_path / "cache", lambda *told: calls.append(told))
    assert calls == [("widerface train", done, 4) for done in (1, 2, 3, 4)]
    assert first.notes["images_per_second"] > 0
    again = load_split(config(retinaface), "train", tmp_path / "cache", lambda *told: calls.append(told))
    assert len(calls) == 4
    assert again.folder == first.folder
    assert again.digest == first.digest


def test_what_an_image_depends_on_makes_a_new_copy_and_nothing_else(retinaface: Path, tmp_path: Path) -> None:
    cache, base = tmp_path / "cache", config(retinaface)
    load_split(base, "train", cache)
    for same in (replace(base, seed=4), replace(base, val_images=1), replace(base, eval_side=64, epoch_images=1)):
        load_split(same, "train", cache)
    assert len(kept(cache)) == 1
    load_split(replace(base, size=64), "train", cache)
    load_split(replace(base, train_images=2), "train", cache)
    assert len(kept(cache)) == 3
    load_split(base, "val", cache)
    load_split(replace(base, size=64, eval_side=32), "val", cache)
    assert len(kept(cache)) == 4
    label = retinaface / "train" / "label.txt"
    label.write_text(label.read_text() + f"1 1 9 9 {NO_POINTS} 0\n")
    assert len(load_split(base, "train", cache).boxes) == 5
    assert len(kept(cache)) == 5


def test_training_images_keep_what_the_smallest_crop_needs(retinaface: Path, tmp_path: Path) -> None:
    # 32 / 0.3 rounded up is 107, more than the 72 pixels that these images have.
    assert load_split(config(retinaface), "train", tmp_path).shapes.tolist() == [[72, 96]] * 4
    assert load_split(config(retinaface), "train", tmp_path).notes["shorter_side"] == 107


def test_a_subset_is_drawn_by_the_seed(retinaface: Path, tmp_path: Path) -> None:
    drawn = {
        tuple(load_split(config(retinaface, train_images=2, seed=seed), "train", tmp_path).ids) for seed in range(8)
    }
    assert len(drawn) > 1
    assert all(len(ids) == 2 and list(ids) == [name for name in TRAIN if name in ids] for ids in drawn)


def test_a_corrupt_copy_is_named_and_made_again(
    retinaface: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = tmp_path / "cache"
    first = load_split(config(retinaface), "train", cache)
    pixels = first.folder / "pixels.bin"
    pixels.write_bytes(pixels.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        again = load_split(config(retinaface), "train", cache)
    assert again.digest == first.digest
    assert len(again.image(3)) == 72
    assert str(first.folder) in caplog.text
    assert kept(cache) == [first.folder.name]


def test_skipped_faults_are_told(retinaface: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    label = retinaface / "train" / "label.txt"
    label.write_text(label.read_text() + f"1 1 0 9 {NO_POINTS} 0\n")
    faces = load_split(config(retinaface), "train", tmp_path)
    assert "widerface train: skipped 0 images and 1 faces" in caplog.text
    assert f"{label}:9: face of 1--Handshaking/d has no size" in caplog.text
    assert len(faces.boxes) == 4


def test_a_refused_split_leaves_no_copy(retinaface: Path, tmp_path: Path) -> None:
    (retinaface / "train" / "images" / "0--Parade" / "b.jpg").unlink()
    with pytest.raises(DataError, match="is missing"):
        load_split(config(retinaface), "train", tmp_path / "cache")
    assert kept(tmp_path / "cache") == []


def test_unknown_splits_are_refused(retinaface: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown split 'test'"):
        load_split(config(retinaface), "test", tmp_path)


SCRIPT = """
import os, signal, sys
from pathlib import Path
from harness.core.arch import ARCHS
from harness.models.builder import build
from harness.data import load_held_out, load_split
from harness.core.protocol import DataConfig

def progress(what, done, total):
    if sys.argv[3] == "die" and done == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    print("made", done)

config = DataConfig(source=sys.argv[1], size=32, train_images=0, val_images=0)
print(load_split(config, "train", Path(sys.argv[2]), progress).digest)
"""


def start(root: Path, cache: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(root), str(cache), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def test_a_killed_build_leaves_no_half_copy(retinaface: Path, tmp_path: Path) -> None:
    killed = start(retinaface, tmp_path / "cache", "die")
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    (left,) = kept(tmp_path / "cache")
    assert left.endswith(".partial")
    faces = load_split(config(retinaface), "train", tmp_path / "cache")
    assert len(faces) == 4
    assert kept(tmp_path / "cache") == [faces.folder.name]


def test_of_several_processes_one_builds(retinaface: Path, tmp_path: Path) -> None:
    running = [start(retinaface, tmp_path / "cache", "live") for _ in range(3)]
    said = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert sorted(out.count("made") for out, _ in said) == [0, 0, 4]
    assert len({out.split()[-1] for out, _ in said}) == 1
    assert len(kept(tmp_path / "cache")) == 1


def test_images_with_landmarks_are_held_out_of_training(retinaface: Path, tmp_path: Path) -> None:
    held = replace(config(retinaface), landmark_images=2)
    train, apart = (load_split(held, split, tmp_path / "cache") for split in ("train", "landmarks"))
    assert len(train) == len(apart) == 2
    assert sorted([*train.ids, *apart.ids]) == sorted(TRAIN)
    assert all(np.isfinite(apart.faces(image)[1]).all(axis=1).any() for image in range(2))
    assert apart.shapes.tolist() == [[72, 96]] * 2
    assert len(load_split(replace(held, seed=9), "train", tmp_path / "cache")) == 2
    with pytest.raises(DataError, match=r"label.txt has 3 images with landmarks: 3 cannot be held out of training"):
        load_split(replace(held, landmark_images=3), "train", tmp_path / "cache")
    with pytest.raises(InputError, match=r"unknown split 'landmarks' \(known: train, val\)"):
        load_split(config(retinaface), "landmarks", tmp_path / "cache")


def test_a_copy_without_landmarks_holds_nothing_out(official: Path, tmp_path: Path) -> None:
    held = replace(config(official), landmark_images=2)
    assert len(load_split(held, "train", tmp_path / "cache")) == len(TRAIN)
    assert load_held_out(held, tmp_path / "cache") is None
    assert load_held_out(config(official), tmp_path / "cache") is None


def test_the_landmark_error_is_that_of_the_held_out_images(
    retinaface: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def landmark_error(_: object, faces: FaceSet) -> dict[str, float]:
        measured.append(faces.name)
        return {}

    monkeypatch.setattr("harness.training.loop.landmark_error", landmark_error)
    for count in (0, 1):
        data = replace(config(retinaface), landmark_images=count)
        job = Job("v2", ARCHS["v2"], 0, TrainConfig(), data, EvalConfig(), tmp_path / "v2", tmp_path / "cache")
        evaluate(job, build(ARCHS["v2"]))
    assert measured[0] == "widerface val"
    assert measured[-1] == "widerface landmarks"


def test_the_real_images_count_as_documented(widerface_root: Path, tmp_path: Path) -> None:
    from harness.data.widerface import find_layout, read_annotations

    root, cache = widerface_root, tmp_path
    annotations = read_annotations(find_layout(root, "train"), "train")
    annotations.require_sound()
    assert len(annotations.entries) == 2_472
    assert sum(len(entry.boxes) for entry in annotations.entries) == 28_925
    assert sum(int(np.isfinite(entry.landmarks).all(axis=1).sum()) for entry in annotations.entries) == 9_620
    assert [len(entry.faults) for entry in annotations.entries].count(0) == 2_472
    val = read_annotations(find_layout(root, "val"), "val")
    val.require_sound()
    assert len(val.entries) == 600
    assert sum(len(entry.boxes) for entry in val.entries) == 9_059
    faces: FaceSet = load_split(config(root, train_images=60, val_images=30), "train", cache)
    assert len(faces) == 60
    assert faces.shapes.min(axis=1).max() == 107
    lists = load_split(config(root, train_images=60, val_images=30), "val", cache)
    assert len(lists) == 30
    assert lists.keep["hard"].sum() >= lists.keep["medium"].sum() >= lists.keep["easy"].sum() > 0
