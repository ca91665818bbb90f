import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.data.decode import UnreadableImageError, decode, decode_split, read_image
from harness.data.widerface import Annotations, find_layout, fingerprint, read_annotations
from harness.errors import DataError
from tests.data.tiny_widerface import NO_POINTS, TRAIN, VAL


def read(root: Path, split: str = "train") -> Annotations:
    return read_annotations(find_layout(root, split), split)


def lines_of(root: Path) -> list[str]:
    return (root / "train" / "label.txt").read_text().splitlines()


def relabel(root: Path, lines: list[str]) -> None:
    (root / "train" / "label.txt").write_text("\n".join(lines) + "\n")


def check_train(found: Annotations, landmarks: bool) -> None:
    assert found.fatal == []
    assert [entry.identity for entry in found.entries] == list(TRAIN)
    for entry, boxes in zip(found.entries, TRAIN.values(), strict=True):
        assert entry.boxes.tolist() == [[x, y, x + w, y + h] for x, y, w, h in boxes]
        assert np.isnan(entry.landmarks[1 if landmarks else 0 :]).all()
        assert not landmarks or np.isfinite(entry.landmarks[:1]).all()
        assert entry.path.is_file()


def test_retinaface_training(retinaface: Path) -> None:
    found = read(retinaface)
    check_train(found, landmarks=True)
    x, y, w, h = TRAIN["0--Parade/a"][0]
    assert np.allclose(found.entries[0].landmarks[0, :2], (x + 0.3 * w, y + 0.4 * h))


def test_official_training(official: Path) -> None:
    check_train(read(official), landmarks=False)


@pytest.mark.parametrize("layout", ["retinaface", "official"])
def test_validation_takes_boxes_and_lists_from_the_mats(layout: str, request: pytest.FixtureRequest) -> None:
    found = read(request.getfixturevalue(layout), "val")
    assert [entry.identity for entry in found.entries] == list(VAL)
    for entry, boxes in zip(found.entries, VAL.values(), strict=True):
        assert entry.boxes.tolist() == [[x, y, x + w, y + h] for x, y, w, h in boxes]
        assert entry.keep["easy"].tolist() == [True] + [False] * (len(boxes) - 1)
        assert entry.keep["hard"].all()


def test_windows_line_ends_and_a_byte_order_mark_pass(retinaface: Path) -> None:
    path = retinaface / "train" / "label.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    check_train(read(retinaface), landmarks=True)


def test_small_negative_landmarks_are_landmarks(retinaface: Path) -> None:
    points = "-1.0 -1.0 0.0 " * 4 + "-1.0 3.0 0.0"
    relabel(retinaface, ["# 0--Parade/a.jpg", f"0 0 10 10 {points} 0.1"])
    assert read(retinaface).entries[0].landmarks[0].tolist() == [-1] * 9 + [3]


GOOD = f"1 2 30 40 {NO_POINTS} 0.5"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1 2 30", "has 3 numbers, but a face has 20 or 4"),
        (GOOD + " 7", "has 21 numbers, but a face has 20 or 4"),
        (GOOD.replace("30", "3o"), "has a value that is not a number: '1 2 3o 40"),
        (GOOD.replace("30", "nan"), "has a value that is no number of pixels up to 1,000,000"),
        (GOOD.replace("30", "1e39"), "has a value that is no number of pixels up to 1,000,000"),
        (GOOD.replace("30", "3_0"), "has a value that is not a number"),
        (GOOD.replace("30", "٣٠"), "has a value that is not a number"),
        ("#", "expected an image as event/name.jpg, got ''"),
        ("# ../../secret.jpg", "expected an image as event/name.jpg, got '../../secret.jpg'"),
        ("# 0--Parade/a.txt", "expected an image as event/name.jpg"),
        ("# 0--Parade/a.jpg", "names 0--Parade/a again, first at line 1"),
        ("\udcff\udcfe", "has a value that is not a number"),
    ],
)
def test_a_broken_line_is_named_and_refuses(retinaface: Path, line: str, told: str) -> None:
    lines = lines_of(retinaface)
    lines.insert(2, line)
    path = retinaface / "train" / "label.txt"
    path.write_text("\n".join(lines), errors="surrogateescape")
    with pytest.raises(DataError) as caught:
        read(retinaface).require_sound()
    assert str(caught.value).startswith(f"{path}:3: {told}")


def test_a_face_before_any_image_refuses(retinaface: Path) -> None:
    relabel(retinaface, [GOOD, *lines_of(retinaface)])
    with pytest.raises(DataError, match=r"label\.txt:1: comes before the first image"):
        read(retinaface).require_sound()


def test_every_fault_is_collected(retinaface: Path) -> None:
    relabel(retinaface, ["# 0--Parade/a.jpg", "1 2", "x 2 3 4", GOOD, "# 0--Parade/b.jpg", "1"])
    found = read(retinaface)
    assert [fault.line for fault in found.fatal] == [2, 3, 6]
    with pytest.raises(DataError, match=r"label\.txt:2: .*\(and 2 more\)"):
        found.require_sound()


@pytest.mark.parametrize("content", [b"", b"\n\n  \n"])
def test_an_empty_label_file_refuses(retinaface: Path, content: bytes) -> None:
    (retinaface / "train" / "label.txt").write_bytes(content)
    with pytest.raises(DataError, match="names no image"):
        read(retinaface)


def test_faces_without_a_size_are_skipped_and_named(retinaface: Path, tmp_path: Path) -> None:
    relabel(retinaface, ["# 0--Parade/a.jpg", GOOD, GOOD.replace("30 40", "0 40"), GOOD.replace("30 40", "30 -4")])
    found = read(retinaface)
    found.require_sound()
    assert len(found.entries[0].boxes) == 1
    assert [fault.line for fault in found.entries[0].faults] == [3, 4]
    faces = decode_split(found, tmp_path / "set", "x")
    assert faces.notes["skipped_faces"] == 2
    assert "label.txt:3: face of 0--Parade/a has no size: 0 × 40 px" in faces.notes["faults"][0]


def test_a_face_outside_its_image_is_skipped_and_one_across_the_edge_kept(retinaface: Path, tmp_path: Path) -> None:
    relabel(retinaface, ["# 0--Parade/a.jpg", f"-3 2 30 40 {NO_POINTS} 0", f"96 2 30 40 {NO_POINTS} 0"])
    faces = decode_split(read(retinaface), tmp_path / "set", "x")
    assert faces.boxes.tolist() == [[-3, 2, 27, 42]]
    assert faces.notes["faults"][0].endswith("label.txt:3: face of 0--Parade/a lies outside its 96 × 72 px; skipped")


@pytest.mark.parametrize(
    ("line", "replacement", "told"),
    [
        (1, "3", r"2: announces 3 faces, but 2 lines follow"),
        (1, "1", r"2: announces 1 faces, but 2 lines follow"),
        (1, "two", r"2: expected the number of faces, got 'two'"),
        (2, "1 2 3 4 5", r"3: has 5 numbers, but a face has 10 or 4"),
        (3, "1 2 3 z 0 0 0 0 0 0", r"4: has a value that is not a number"),
    ],
)
def test_a_broken_official_file_is_named_and_refuses(official: Path, line: int, replacement: str, told: str) -> None:
    path = official / "wider_face_split" / "wider_face_train_bbx_gt.txt"
    lines = path.read_text().splitlines()
    lines[line] = replacement
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"^{path}:{told}"):
        read(official).require_sound()


def test_a_validation_image_without_truth_refuses(retinaface: Path) -> None:
    path = retinaface / "val" / "wider_val.txt"
    path.write_text(path.read_text() + "/0--Parade/unknown.jpg\n")
    with pytest.raises(DataError, match=r"wider_val\.txt:3: 0--Parade/unknown is not in the ground truth"):
        read(retinaface, "val").require_sound()


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path, split: str) -> None:
    with pytest.raises(DataError) as caught:
        find_layout(tmp_path, split)
    for part in (f"{split}/images/", f"WIDER_{split}/images/", f"wider_face_split/wider_face_{split}_bbx_gt.txt"):
        assert part in str(caught.value)


def test_a_part_that_is_missing_is_named(retinaface: Path, official: Path) -> None:
    shutil.rmtree(retinaface / "train" / "images")
    with pytest.raises(DataError, match="of which train/images is missing"):
        find_layout(retinaface, "train")
    shutil.rmtree(official / "wider_face_split")
    with pytest.raises(DataError, match=r"of which wider_face_split/wider_face_val_bbx_gt\.txt is missing"):
        find_layout(official, "val")


def test_missing_lists_say_where_they_are(retinaface: Path) -> None:
    (retinaface / "ground_truth" / "wider_hard_val.mat").unlink()
    with pytest.raises(DataError, match=r"wider_hard_val\.mat in ground_truth/.*eval_tools\.zip") as caught:
        find_layout(retinaface, "val")
    assert "\n" not in str(caught.value)


def test_no_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find_layout(tmp_path / "nowhere", "train")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is not a folder"):
        find_layout(tmp_path / "file", "train")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "is missing"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "cut": (cut, "is cut off"),
    "text": (lambda path: path.write_text("no image"), "cannot be decoded"),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_a_broken_image_is_named_with_its_line(retinaface: Path, kind: str) -> None:
    damage, told = BREAKS[kind]
    image = retinaface / "train" / "images" / "1--Handshaking" / "c.jpg"
    damage(image)
    found = {entry.identity: (pixels, faults) for entry, pixels, faults in decode(read(retinaface), 0)}
    pixels, faults = found["1--Handshaking/c"]
    assert pixels is None
    assert str(faults[0]) == f"{retinaface / 'train' / 'label.txt'}:5: image {image} {told}; skipped"
    assert sum(pixels is None for pixels, _ in found.values()) == 1
    with pytest.raises(UnreadableImageError, match=told):
        read_image(image)


def test_few_broken_images_are_counted_and_many_refuse(retinaface: Path, tmp_path: Path) -> None:
    names = [f"2--Many/{index}" for index in range(20)]
    (retinaface / "train" / "images" / "2--Many").mkdir()
    source = retinaface / "train" / "images" / "0--Parade" / "a.jpg"
    for name in names:
        shutil.copy(source, retinaface / "train" / "images" / f"{name}.jpg")
    relabel(retinaface, [line for name in names for line in (f"# {name}.jpg", GOOD)])
    (retinaface / "train" / "images" / "2--Many" / "3.jpg").unlink()
    faces = decode_split(read(retinaface), tmp_path / "one", "x")
    assert len(faces) == 19
    assert (faces.notes["skipped_images"], faces.notes["skipped_faces"]) == (1, 1)
    (retinaface / "train" / "images" / "2--Many" / "8.jpg").unlink()
    with pytest.raises(DataError, match=r"label\.txt:17: image .*8\.jpg is missing.*more than 5% of the 20 images"):
        decode_split(read(retinaface), tmp_path / "two", "x")
    assert not (tmp_path / "two").exists()


def test_large_images_are_reduced_with_their_faces(retinaface: Path, tmp_path: Path) -> None:
    found = read(retinaface)
    whole = decode_split(found, tmp_path / "whole", "x")
    half = decode_split(found, tmp_path / "half", "x", shorter_side=36)
    assert whole.shapes.tolist() == [[72, 96]] * 4
    assert half.shapes.tolist() == [[36, 48]] * 4
    assert np.allclose(half.boxes, whole.boxes / 2)
    assert np.allclose(half.landmarks, whole.landmarks / 2, equal_nan=True)
    assert decode_split(found, tmp_path / "same", "x", shorter_side=500).digest == whole.digest


def test_the_number_of_decoders_changes_nothing(retinaface: Path, tmp_path: Path) -> None:
    one = decode_split(read(retinaface), tmp_path / "1", "x", processes=1)
    assert one.digest == decode_split(read(retinaface), tmp_path / "3", "x", processes=3).digest
    assert one.ids == list(TRAIN)


def test_the_fingerprint_follows_labels_and_images(retinaface: Path) -> None:
    layout = find_layout(retinaface, "train")
    prints = [fingerprint(layout)]
    relabel(retinaface, [*lines_of(retinaface), "# 0--Parade/x.jpg"])
    prints.append(fingerprint(layout))
    image = retinaface / "train" / "images" / "0--Parade" / "a.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    prints.append(fingerprint(layout))
    image.unlink()
    prints.append(fingerprint(layout))
    assert len(set(prints)) == 4
