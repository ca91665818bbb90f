import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock, Timeout

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import TrainConfig
from harness.data import SPLITS, cached, load_held_out, load_split
from harness.data.faces import FaceSet, FaceSetWriter, choose
from harness.data.lists import lists_by_height
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.training.grade import grade
from harness.training.job import Job
from tests.data.tiny_widerface import NO_POINTS, TRAIN, VAL, write_images

HELD = "0--Parade/b"
"""The image without a face: the search split of ``config``, so that training has all four faces."""

SEED = next(seed for seed in range(100) if choose(len(TRAIN), 1, seed).tolist() == [list(TRAIN).index(HELD)])
TRAINED = [name for name in TRAIN if name != HELD]


def config(root: Path, **changes: Any) -> DataConfig:
    base = DataConfig(source=str(root), size=32, train_images=0, search_images=1, val_images=0, seed=SEED)
    return replace(base, **changes)


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("layout", ["retinaface", "official"])
def test_both_layouts_give_the_same_images(layout: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    root = request.getfixturevalue(layout)
    train, val = (load_split(config(root), split, tmp_path / "cache") for split in ("train", "val"))
    assert train.ids == TRAINED
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
    assert calls == [("widerface train", done, 3) for done in (1, 2, 3)]
    assert first.notes["images_per_second"] > 0
    again = load_split(config(retinaface), "train", tmp_path / "cache", lambda *told: calls.append(told))
    assert len(calls) == 3
    assert again.folder == first.folder
    assert again.digest == first.digest


def test_what_an_image_depends_on_makes_a_new_copy_and_nothing_else(retinaface: Path, tmp_path: Path) -> None:
    cache, base = tmp_path / "cache", config(retinaface)
    load_split(base, "train", cache)
    for same in (replace(base, val_images=1), replace(base, eval_side=64)):
        load_split(same, "train", cache)
    assert len(kept(cache)) == 1
    for other in (replace(base, size=64), replace(base, train_images=2), replace(base, search_images=2)):
        load_split(other, "train", cache)
    assert len(kept(cache)) == 4
    load_split(base, "val", cache)
    load_split(replace(base, size=64, eval_side=32, seed=SEED + 1, search_images=2), "val", cache)
    assert len(kept(cache)) == 5
    load_split(base, "search", cache)
    load_split(replace(base, size=64, eval_side=32, train_images=1, val_images=1), "search", cache)
    assert len(kept(cache)) == 6
    label = retinaface / "train" / "label.txt"
    label.write_text(label.read_text() + f"1 1 9 9 {NO_POINTS} 0\n")
    assert len(load_split(base, "train", cache).boxes) == 5
    assert len(kept(cache)) == 7


def test_training_images_keep_what_the_smallest_crop_needs(retinaface: Path, tmp_path: Path) -> None:
    # 32 / 0.3 rounded up is 107, more than the 72 pixels that these images have.
    assert load_split(config(retinaface), "train", tmp_path).shapes.tolist() == [[72, 96]] * 3
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
    assert len(again.image(2)) == 72
    assert str(first.folder) in caplog.text
    assert kept(cache) == [first.folder.name]


def test_skipped_faults_are_reported(retinaface: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    label = retinaface / "train" / "label.txt"
    label.write_text(label.read_text() + f"1 1 0 9 {NO_POINTS} 0\n")
    faces = load_split(config(retinaface), "train", tmp_path)
    assert "widerface train: skipped 0 images and 1 faces" in caplog.text
    assert f"{label}:9: face of 1--Handshaking/d has no size" in caplog.text
    assert len(faces.boxes) == 4


def test_a_refused_split_leaves_no_copy(retinaface: Path, tmp_path: Path) -> None:
    (retinaface / "train" / "images" / "0--Parade" / "a.jpg").unlink()
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
    if sys.argv[3] == "die" and done == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    print("made", done)

config = DataConfig(source=sys.argv[1], size=32, train_images=0, search_images=1, val_images=0)
print(load_split(config, "train", Path(sys.argv[2]), progress).digest)
"""


def start(root: Path, cache: Path, how: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(root), str(cache), how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))


@pytest.mark.slow
def test_a_killed_build_leaves_no_half_copy(retinaface: Path, tmp_path: Path) -> None:
    killed = start(retinaface, tmp_path / "cache", "die")
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    (left,) = kept(tmp_path / "cache")
    assert left.endswith(".partial")
    faces = load_split(config(retinaface, seed=0), "train", tmp_path / "cache")
    assert len(faces) == 3
    assert kept(tmp_path / "cache") == [faces.folder.name]


@pytest.mark.slow
def test_of_several_processes_one_builds(retinaface: Path, tmp_path: Path) -> None:
    running = [start(retinaface, tmp_path / "cache", "live") for _ in range(3)]
    said = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], said
    assert sorted(out.count("made") for out, _ in said) == [0, 0, 3]
    assert len({out.split()[-1] for out, _ in said}) == 1
    assert len(kept(tmp_path / "cache")) == 1


def test_the_lock_is_held_while_a_copy_is_made(tmp_path: Path) -> None:
    def build(folder: Path) -> FaceSet:
        with pytest.raises(Timeout):
            FileLock(folder.with_name(f"{folder.name}.lock")).acquire(blocking=False)
        with FaceSetWriter(folder, "x") as writer:
            writer.add("a", np.zeros((8, 8, 3), dtype=np.uint8), np.zeros((0, 4)), np.zeros((0, 10)))
            return writer.finish()

    assert len(cached(tmp_path / "set", build)) == 1
    FileLock(tmp_path / "set.lock").acquire(blocking=False).lock.release()


def test_images_with_landmarks_are_held_out_of_training(retinaface: Path, tmp_path: Path) -> None:
    held = replace(config(retinaface), landmark_images=2)
    apart = load_split(held, "landmarks", tmp_path / "cache")
    assert len(apart) == 2
    assert not {*load_split(held, "train", tmp_path / "cache").ids} & {*apart.ids}
    assert all(np.isfinite(apart.faces(image)[1]).all(axis=1).any() for image in range(2))
    assert apart.shapes.tolist() == [[72, 96]] * 2
    with pytest.raises(DataError, match=r"label.txt has 3 images with landmarks: 3 cannot be held out of training"):
        load_split(replace(held, landmark_images=3), "train", tmp_path / "cache")
    with pytest.raises(InputError, match=r"unknown split 'landmarks' \(known: train, search, val\)"):
        load_split(config(retinaface), "landmarks", tmp_path / "cache")


def test_a_copy_without_landmarks_holds_nothing_out(official: Path, tmp_path: Path) -> None:
    held = replace(config(official), landmark_images=2)
    assert load_split(held, "train", tmp_path / "cache").ids == TRAINED
    assert load_held_out(held, tmp_path / "cache") is None
    assert load_held_out(config(official), tmp_path / "cache") is None


def many(root: Path, count: int, with_landmarks: int) -> DataConfig:
    """Return a copy of ``count`` training images in the layout of ``root``, the first of them with landmarks."""
    names = [f"2--Many/{index:03d}" for index in range(count)]
    if (root / "train").is_dir():
        write_images(root / "train" / "images", names)
        points = ["1.0 1.0 0.0 " * 5] * with_landmarks + [NO_POINTS] * (count - with_landmarks)
        lines = [f"# {name}.jpg\n4 4 20 30 {at} 0.5\n" for name, at in zip(names, points, strict=True)]
        (root / "train" / "label.txt").write_text("".join(lines))
    else:
        write_images(root / "WIDER_train" / "images", names)
        lines = [f"{name}.jpg\n1\n4 4 20 30 0 0 0 0 0 0\n" for name in names]
        (root / "wider_face_split" / "wider_face_train_bbx_gt.txt").write_text("".join(lines))
    return config(root, search_images=9, landmark_images=6)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("layout", ["retinaface", "official"])
def test_no_two_splits_share_an_image(layout: str, seed: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    data = replace(many(request.getfixturevalue(layout), 40, 12), seed=seed)
    drawn = {split: load_split(data, split, tmp_path / "cache").ids for split in SPLITS}
    held_out = load_held_out(data, tmp_path / "cache")
    assert (held_out is None) == (layout == "official")
    drawn["landmarks"] = [] if held_out is None else held_out.ids
    assert len(drawn["search"]) == 9
    assert len(drawn["landmarks"]) == (0 if held_out is None else 6)
    training = [*drawn["train"], *drawn["search"], *drawn["landmarks"]]
    assert len(training) == len({*training}) == 40
    assert drawn["val"] == list(VAL)
    # A subset of the training images is drawn from what is left, and leaves the other splits as they are.
    few = replace(data, train_images=5)
    assert {*load_split(few, "train", tmp_path / "cache").ids} < {*drawn["train"]}
    assert load_split(few, "search", tmp_path / "cache").ids == drawn["search"]


def test_the_search_split_follows_the_seed_alone(retinaface: Path, tmp_path: Path) -> None:
    data = many(retinaface, 40, 12)
    first = load_split(data, "search", tmp_path / "one")
    again = load_split(replace(data, train_images=3, val_images=1, size=64), "search", tmp_path / "two", None, 1)
    assert (again.ids, again.digest) == (first.ids, first.digest)
    assert load_split(replace(data, seed=SEED + 1), "search", tmp_path / "one").ids != first.ids


def test_search_images_keep_their_size_and_have_lists_by_height(retinaface: Path, tmp_path: Path) -> None:
    height, width = 480, 512
    write_images(retinaface / "train" / "images", list(TRAIN), height, width)
    tall = (4, 5, 15, 16, 25, 26)
    rows = [f"{40 * index} 0 20 {pixels} {NO_POINTS} 0" for index, pixels in enumerate(tall)]
    lines = [line for name in TRAIN for line in (f"# {name}.jpg", *rows)]
    (retinaface / "train" / "label.txt").write_text("\n".join(lines))
    search = load_split(config(retinaface, search_images=2), "search", tmp_path / "cache")
    assert search.shapes.tolist() == [[height, width]] * 2
    # Half the official width: the limits of 10.5, 30.5 and 50.5 pixels are halved.
    wanted = {"hard": [pixels > 5.25 for pixels in tall] * 2, "medium": [pixels > 15.25 for pixels in tall] * 2}
    assert {name: mask.tolist() for name, mask in search.keep.items()} == {
        **wanted,
        "easy": [pixels > 25.25 for pixels in tall] * 2,
    }
    truth = search.truth()
    assert truth.faces == 12
    assert sum(int(mask.sum()) for mask in truth.keep["hard"]) == 8
    # Training images are reduced and have no lists.
    train = load_split(config(retinaface, search_images=2), "train", tmp_path / "cache")
    assert train.keep == {}
    assert train.shapes.min() == 107


def test_a_face_outside_its_search_image_leaves_the_lists_in_step(retinaface: Path, tmp_path: Path) -> None:
    outside, inside = f"900 2 30 70 {NO_POINTS} 0", f"2 2 30 1 {NO_POINTS} 0"
    lines = [line for name in TRAIN for line in (f"# {name}.jpg", outside, inside)]
    (retinaface / "train" / "label.txt").write_text("\n".join(lines))
    search = load_split(config(retinaface, search_images=3), "search", tmp_path / "cache")
    assert len(search.boxes) == 3
    assert {name: mask.tolist() for name, mask in search.keep.items()} == {
        "easy": [False] * 3,
        "medium": [False] * 3,
        "hard": [True] * 3,
    }


@pytest.mark.parametrize("split", ["train", "search"])
def test_a_search_split_that_leaves_nothing_to_train_on_is_refused(
    split: str, retinaface: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        load_split(config(retinaface, search_images=4), split, tmp_path / "cache")
    assert str(caught.value) == (
        f"{retinaface / 'train' / 'label.txt'} has 4 images: 4 cannot be held out as the search split; "
        "give a smaller search_images"
    )
    assert kept(tmp_path / "cache") == []
    data = config(retinaface, search_images=2, landmark_images=2)
    with pytest.raises(DataError, match="has 2 images without the 2 that are held out for landmarks: 2 cannot be held"):
        load_split(data, split, tmp_path / "cache")


@pytest.mark.parametrize("source", ["synthetic", "PATH/TO/WIDERFACE"])
def test_there_is_always_a_search_split(source: str) -> None:
    with pytest.raises(InputError, match=r"search_images must be positive.*, got 0"):
        DataConfig(source=source, search_images=0)


def test_search_scenes_are_scenes_of_their_own(tmp_path: Path) -> None:
    data = DataConfig(train_images=5, search_images=4, val_images=3, seed=2)
    found = {split: load_split(data, split, tmp_path / "cache", processes=1) for split in SPLITS}
    assert {split: len(faces) for split, faces in found.items()} == {"train": 5, "search": 4, "val": 3}
    images = [faces.image(index).tobytes() for faces in found.values() for index in range(len(faces))]
    assert len({*images}) == 12
    assert sorted(found["search"].keep) == sorted(found["val"].keep) == ["easy", "hard", "medium"]
    assert found["train"].keep == {}
    more = load_split(replace(data, search_images=6), "search", tmp_path / "cache", processes=1)
    assert np.array_equal(more.image(3), found["search"].image(3))
    # A split's scenes depend on its own number of images and the seed only.
    same = load_split(replace(data, train_images=9, val_images=9, size=64), "search", tmp_path / "cache", processes=1)
    assert same.folder == found["search"].folder
    other = load_split(replace(data, seed=3), "search", tmp_path / "cache", processes=1)
    assert other.digest != found["search"].digest


def test_the_landmark_error_is_that_of_the_held_out_images(
    retinaface: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def landmark_error(_: object, faces: FaceSet) -> dict[str, float]:
        measured.append(faces.name)
        return {}

    monkeypatch.setattr("harness.training.grade.landmark_error", landmark_error)
    for count in (0, 1):
        data = replace(config(retinaface), landmark_images=count)
        job = Job("v2", ARCHS["v2"], 0, TrainConfig(), data, EvalConfig(), tmp_path / "v2", tmp_path / "cache")
        grade(job, build(ARCHS["v2"]))
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


def test_the_real_splits_are_disjoint_and_the_search_split_has_lists(widerface_root: Path, cache: Path) -> None:
    root = widerface_root
    data = config(root, train_images=60, search_images=50, landmark_images=20)
    found = {split: load_split(data, split, cache) for split in ("train", "search", "landmarks")}
    assert {split: len(faces) for split, faces in found.items()} == {"train": 60, "search": 50, "landmarks": 20}
    assert len({name for faces in found.values() for name in faces.ids}) == 130
    search = found["search"]
    assert search.shapes.max(axis=1).tolist() == [640] * 50
    assert search.keep["hard"].sum() > search.keep["medium"].sum() > search.keep["easy"].sum() > 0


def test_heights_reproduce_the_official_lists_of_the_real_images(widerface_root: Path, cache: Path) -> None:
    root = widerface_root
    faces = load_split(config(root, val_images=100), "val", cache)
    found = [lists_by_height(faces.faces(i)[0].astype(np.float64), int(faces.shapes[i, 1])) for i in range(100)]
    for name, official in faces.keep.items():
        assert (np.concatenate([lists[name] for lists in found]) == official).mean() > 0.95
