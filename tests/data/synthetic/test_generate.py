from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.core.data import DataConfig
from harness.data import load_split
from harness.data.contact import COLOURS, contact_sheet
from harness.data.synthetic import generate as synthetic
from harness.data.synthetic.anatomy import AXIS, SKIN, head_solids, places, surface_points
from harness.data.synthetic.generate import LISTS, SIDE, Scene, keep_lists, render_scene
from harness.data.synthetic.head import Pose, render_head
from harness.data.synthetic.layers import NOBODY, Layer, Picture, blurred
from harness.data.synthetic.light import Light
from harness.data.synthetic.person import Person, sample_person
from harness.data.synthetic.solids import NOTHING, cast, ellipsoids, rotation
from harness.errors import HarnessError

FLAT = Light(np.array([0, 0, 1], dtype=np.float32), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(5, "val", index) for index in range(90)]


def person(seed: int, **changes: object) -> Person:
    plain: dict[str, Any] = {
        "wear": "none",
        "hat": "none",
        "style": "short",
        "beard": "none",
        "gaze": (0.0, 0.0),
        "lids": 1.0,
    }
    return replace(sample_person(np.random.default_rng(seed)), **(plain | changes))


@pytest.mark.slow
def test_any_number_of_processes_makes_the_same_set(tmp_path: Path) -> None:
    config = DataConfig(train_images=20, val_images=20, seed=3)
    told: list[tuple[str, int, int]] = []
    one = synthetic.generate(config, "val", tmp_path / "one", None, 1)
    two = synthetic.generate(config, "val", tmp_path / "two", lambda *what: told.append(what), 2)
    assert one.digest == two.digest
    assert told == [("synthetic val", done, 20) for done in (8, 16, 20)]
    assert set(one.keep) == {"easy", "medium", "hard"}
    assert one.notes["images_per_second"] > 0
    assert one.notes["lists"]["easy"]["height"] == LISTS["easy"].height


def test_a_scene_depends_on_seed_split_and_index_alone() -> None:
    scene = render_scene(1, "train", 4)
    render_scene(1, "train", 9)
    again = render_scene(1, "train", 4)
    assert np.array_equal(scene.image, again.image)
    assert np.array_equal(scene.boxes, again.boxes)
    assert np.array_equal(scene.landmarks, again.landmarks)
    for other in (render_scene(2, "train", 4), render_scene(1, "val", 4), render_scene(1, "train", 5)):
        assert not np.array_equal(scene.image, other.image)


def test_training_scenes_carry_no_lists_and_seeds_differ(tmp_path: Path) -> None:
    config = DataConfig(train_images=4, val_images=4)
    train = load_split(config, "train", tmp_path, processes=1)
    assert train.keep == {}
    assert len(train) == 4
    assert train.shapes.tolist() == [[SIDE, SIDE]] * 4
    assert load_split(replace(config, seed=1), "train", tmp_path, processes=1).digest != train.digest
    more = load_split(replace(config, train_images=6), "train", tmp_path, processes=1)
    assert np.array_equal(more.image(3), train.image(3))


def test_a_dead_process_is_reported_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Cannot be called in the other process, which dies while it reads its task.
    monkeypatch.setattr(synthetic, "_render_chunk", Deadly())
    with pytest.raises(HarnessError, match="a process that generates scenes died"):
        synthetic.generate(DataConfig(train_images=20), "train", tmp_path / "set", None, 2)
    assert list(tmp_path.iterdir()) == []


class Deadly:
    def __reduce__(self) -> tuple[object, ...]:
        import os

        return os._exit, (1,)


@pytest.mark.slow
def test_scenes_are_annotated_within_reason(scenes: list[Scene]) -> None:
    for scene in scenes:
        count = len(scene.boxes)
        assert scene.image.shape == (SIDE, SIDE, 3)
        assert scene.image.dtype == np.uint8
        assert scene.boxes.shape == (count, 4)
        assert scene.landmarks.shape == (count, 10)
        assert np.isfinite(scene.landmarks).all()
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= SIDE).all()
        assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()
        assert (scene.occlusion >= 0).all()
        assert (scene.occlusion <= synthetic.MAX_OCCLUSION).all()
        assert (scene.blur > 0).all()


@pytest.mark.slow
def test_sizes_crowds_and_lists_have_the_intended_statistics(scenes: list[Scene]) -> None:
    height = np.concatenate([scene.height for scene in scenes])
    assert 3 < len(height) / len(scenes) < 7
    assert 12 < np.median(height) < 22
    assert np.quantile(height, 0.1) < 11
    assert height.max() > 0.5 * SIDE
    assert max(len(scene.boxes) for scene in scenes) >= 12
    aspect = np.concatenate([(s.boxes[:, 2] - s.boxes[:, 0]) / s.height for s in scenes])
    assert 0.65 < np.median(aspect) < 0.8
    share = {name: np.concatenate([keep_lists(scene)[name] for scene in scenes]).mean() for name in LISTS}
    assert 0.08 < share["easy"] < share["medium"] < share["hard"] < 0.95


def test_owner_pixels_are_what_occlusion_counts(scenes: list[Scene]) -> None:
    """A face inside the image that nothing touches owns (1 - occlusion) of its pixels, and lies in its box."""
    checked = 0
    for scene in scenes:
        for face, box in enumerate(scene.boxes):
            rows, columns = np.nonzero(scene.owner == face)
            if len(rows) == 0:
                continue
            checked += 1
            assert columns.min() + 1 >= box[0]
            assert columns.max() <= box[2]
            assert rows.min() + 1 >= box[1]
            assert rows.max() <= box[3]
    assert checked > 300


def test_lists_are_cumulative_and_follow_their_thresholds(scenes: list[Scene]) -> None:
    for scene in scenes:
        lists = keep_lists(scene)
        assert not (lists["easy"] & ~lists["medium"]).any()
        assert not (lists["medium"] & ~lists["hard"]).any()
    easy = LISTS["easy"]
    just = replace(
        scenes[0],
        height=np.array([easy.height, easy.height - 0.1, 50.0, 50.0]),
        occlusion=np.array([easy.occlusion, 0.0, easy.occlusion + 0.01, 0.0]),
        blur=np.array([easy.blur * easy.height, 0.1, 0.1, easy.blur * 50.0 + 0.1]),
    )
    assert keep_lists(just)["easy"].tolist() == [True, False, False, False]
    assert keep_lists(just)["hard"].all()


def block(left: int, top: int, width: int, height: int, face: bool, alpha: float = 1.0) -> Layer:
    whole = np.ones((height, width), dtype=np.bool_)
    layer = Layer(left, top, np.zeros((height, width, 3), np.float32), np.full((height, width), alpha, np.float32))
    return replace(layer, face=whole, bare=whole, box=np.zeros(4), landmarks=np.zeros(10)) if face else layer


def test_occlusion_equals_a_count_of_pixels() -> None:
    rng = np.random.default_rng(0)
    side = 40
    layers = []
    for place in range(24):
        corner, size = rng.integers(-8, 36, 2), rng.integers(3, 18, 2)
        thin = 0.4 if place % 4 == 3 else 1.0
        layers.append(block(int(corner[0]), int(corner[1]), int(size[0]), int(size[1]), bool(place % 3), thin))
    masked = layers[1].bare
    assert masked is not None
    layers[1] = replace(layers[1], bare=masked & (np.arange(masked.shape[1]) % 2 == 0))
    picture = Picture.on(np.zeros((side, side, 3), dtype=np.float32))
    for layer in layers:
        picture.put(layer)
    expected = []
    for place, layer in enumerate(layers):
        if layer.face is None or layer.bare is None:
            continue
        seen = 0
        for row, column in zip(*np.nonzero(layer.bare), strict=True):
            y, x = int(row) + layer.top, int(column) + layer.left
            if not (0 <= y < side and 0 <= x < side):
                continue
            later = [
                other
                for other in layers[place + 1 :]
                if 0 <= y - other.top < other.alpha.shape[0]
                and 0 <= x - other.left < other.alpha.shape[1]
                and (other.alpha[y - other.top, x - other.left] > 0.5 or other.bare is not None)
            ]
            seen += not later
        expected.append(1 - seen / layer.face.sum())
    assert picture.occlusion().tolist() == pytest.approx(expected, abs=1e-12)
    assert min(expected) < 0.05
    assert max(expected) > 0.95


def test_blur_leaves_a_face_where_it_is() -> None:
    layer = render_head(person(1), Pose(0.2, 0, 0, 30.3, 31.7, 10), FLAT, np.random.default_rng(0))
    assert layer is not None
    soft = blurred(layer, 2.0)
    pictures = [Picture.on(np.zeros((64, 64, 3), dtype=np.float32)) for _ in range(2)]
    for picture, each in zip(pictures, (layer, soft), strict=True):
        picture.put(each)
    assert np.array_equal(pictures[0].owner, pictures[1].owner)
    assert (pictures[0].owner != NOBODY).sum() > 150
    assert soft.blur == 2.0
    assert soft.box is layer.box
    assert soft.colour.sum() == pytest.approx(layer.colour.sum(), rel=0.01)


@pytest.mark.parametrize("yaw", [-0.7, 0.0, 0.5])
@pytest.mark.parametrize("roll", [-0.4, 0.3])
def test_landmarks_are_where_the_features_are_painted(yaw: float, roll: float) -> None:
    """Irises of pure blue on a face without any: the middle of the blue is the eye's landmark."""
    for seed in range(3):
        someone = person(seed, skin=(0.0, 0.8, 0.8), hair=(0.0, 0.3, 0.3), lips=(0.0, 0.2, 0.9), style="bald", brow=0.3)
        someone = replace(someone, iris=(1.0, 0.0, 0.0), lids=1.25, eye=1.2)
        pose = Pose(yaw, 0.1, roll, 90.4, 95.7, 50)
        layer = render_head(someone, pose, FLAT, np.random.default_rng(seed))
        assert layer is not None
        assert layer.landmarks is not None
        blue, green = layer.colour[:, :, 0], layer.colour[:, :, 1]
        points = layer.landmarks.reshape(5, 2) - (layer.left, layer.top)
        for eye in range(2):
            x, y = points[eye]
            near = np.hypot(*np.meshgrid(np.arange(blue.shape[1]) + 0.5 - x, np.arange(blue.shape[0]) + 0.5 - y)) < 9
            found = near & (blue > 0.5) & (green < 0.3)
            rows, columns = np.nonzero(found)
            assert len(rows) >= 5
            assert np.hypot(columns.mean() + 0.5 - x, rows.mean() + 0.5 - y) < 1.5


def test_landmarks_keep_their_order_and_their_face() -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        pose = Pose(float(rng.normal(0, 0.25)), float(rng.normal(0, 0.1)), 0.0, 60, 60, float(rng.uniform(5, 40)))
        layer = render_head(person(seed), pose, FLAT, rng)
        assert layer is not None
        assert layer.landmarks is not None
        assert layer.box is not None
        left_eye, right_eye, nose, left_mouth, right_mouth = layer.landmarks.reshape(5, 2)
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
        points = layer.landmarks.reshape(5, 2)
        margin = 0.02 * pose.unit
        assert (points >= layer.box[:2] - margin).all()
        assert (points <= layer.box[2:] + margin).all()


def test_surface_points_are_the_outermost_points_of_their_rays() -> None:
    someone = person(4)
    solids = head_solids(someone).only(SKIN)
    spots = list(places(someone).values())
    far = np.linspace(0, 1.5, 6_001)
    for (a, v), point in zip(spots, surface_points(solids, spots), strict=True):
        angle = a / 0.68
        ray = np.array([0, v, AXIS]) + far[:, None] * np.array([np.sin(angle), 0, np.cos(angle)])
        offset = ray[:, None] - solids.centre
        inside = (np.einsum("nki,kij,nkj->nk", offset, solids.quadric, offset) <= 1).any(axis=1)
        assert np.linalg.norm(point - ray[np.flatnonzero(inside)[-1]]) < 5e-4


def test_cast_agrees_with_marching_along_each_ray() -> None:
    rng = np.random.default_rng(2)
    rows = [(k, *rng.uniform(-0.5, 0.5, 3), *rng.uniform(0.2, 0.8, 3), *rng.uniform(-1, 1, 2)) for k in range(5)]
    solids = ellipsoids(rows).turned(rotation(0.4, -0.3, 0.8))
    x, y = np.linspace(-1.5, 1.5, 21, dtype=np.float32), np.linspace(-1.4, 1.4, 19, dtype=np.float32)
    depth, label = cast(solids, x, y)
    z = np.linspace(-2, 2, 4_001)
    for row, column in np.ndindex(depth.shape):
        ray = np.stack([np.full_like(z, x[column]), np.full_like(z, y[row]), z], axis=1)
        offset = ray[:, None] - solids.centre
        value = np.einsum("nki,kij,nkj->nk", offset, solids.quadric, offset)
        inside = np.flatnonzero((value <= 1).any(axis=1))
        if len(inside) == 0:
            assert depth[row, column] == NOTHING or value.min() < 1.02
            continue
        assert depth[row, column] == pytest.approx(z[inside[-1]], abs=2e-3)
        assert value[inside[-1], label[row, column]] <= 1.02


def test_a_mask_and_dark_glasses_hide_their_part_of_a_face() -> None:
    shares = {}
    for wear in ("none", "glasses", "sunglasses", "mask"):
        layer = render_head(person(7, wear=wear), Pose(0, 0, 0, 60, 60, 30), FLAT, np.random.default_rng(1))
        assert layer is not None
        assert layer.face is not None
        assert layer.bare is not None
        shares[wear] = 1 - layer.bare.sum() / layer.face.sum()
    assert shares["none"] == shares["glasses"] == 0
    assert 0.08 < shares["sunglasses"] < 0.3
    assert 0.3 < shares["mask"] < 0.65


def test_hats_and_hair_leave_the_box() -> None:
    def box(**changes: object) -> NDArray[np.float64]:
        layer = render_head(person(3, **changes), Pose(0, 0, 0, 60, 60, 30), FLAT, np.random.default_rng(1))
        assert layer is not None
        assert layer.box is not None
        return layer.box

    bald, fringe, capped = box(style="bald"), box(style="fringe"), box(hat="beanie")
    assert bald[3] == pytest.approx(fringe[3], abs=1)
    assert bald[1] + 3 < fringe[1]
    assert bald[1] + 3 < capped[1]


def test_a_contact_sheet_shows_images_and_their_boxes(tmp_path: Path) -> None:
    faces = synthetic.generate(DataConfig(val_images=6, seed=2), "val", tmp_path / "set", None, 1)
    plain = contact_sheet(faces, range(6), boxes=False, cell=SIDE + 4)
    assert plain.shape == (2 * (SIDE + 4), 4 * (SIDE + 4), 3)
    assert np.array_equal(plain[2 : 2 + SIDE, 2 : 2 + SIDE], faces.image(0))
    drawn = contact_sheet(faces, range(6), cell=SIDE + 4)
    assert (drawn != plain).any()
    assert len(set(COLOURS.values())) == 4
