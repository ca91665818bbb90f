"""Labels in pictures: none covers another label, a point or the edge if there is room."""

from itertools import combinations

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from harness.reporting.style import BLACK, Label, place, place_right


def placed(labels: list[Label], points: list[tuple[float, float]], sides: tuple[str, ...]) -> tuple[Axes, list[Bbox]]:
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes: Axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    place(axes, labels, points, sides)
    figure.draw_without_rendering()
    return axes, [Text.get_window_extent(text) for text in axes.texts]


@pytest.mark.parametrize("sides", [("above", "below", "right", "left"), ("right",), ("right", "left")])
def test_names_of_near_points_do_not_touch(sides: tuple[str, ...]) -> None:
    points = [(5.0, 5.0), (5.0, 5.1), (5.0, 5.2), (5.1, 5.1)]
    axes, boxes = placed([Label(f"network {n}", *point, BLACK) for n, point in enumerate(points)], points, sides)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_a_name_covers_no_other_point_and_stays_inside() -> None:
    corner, neighbour = (9.9, 9.9), (9.9, 9.3)
    axes, (box,) = placed([Label("in the corner", *corner, BLACK)], [corner, neighbour], ("above", "below", "left"))
    frame = axes.get_window_extent()
    assert box.x1 <= frame.x1
    assert box.y1 <= frame.y1
    assert not any(box.contains(*axes.transData.transform(point)) for point in (corner, neighbour))


def test_a_name_that_moved_away_has_a_line_to_its_point() -> None:
    points = [(5.0, 5.0 + 0.02 * n) for n in range(4)]
    labels = [Label(f"network {n}", *point, BLACK) for n, point in enumerate(points)]
    axes, boxes = placed(labels, points, ("right",))
    lines = []
    for text, box in zip(axes.texts, boxes, strict=True):
        assert isinstance(text, Annotation)
        assert text.arrow_patch is not None
        _, y = axes.transData.transform(text.xy)
        away = abs((box.y0 + box.y1) / 2 - y) / box.height
        assert text.arrow_patch.get_visible() == (away > 1.5), text.get_text()
        lines.append(text.arrow_patch.get_visible())
    assert sorted(lines) == [False, False, True, True], "four names stand below each other"


@pytest.mark.parametrize("heights", [[5.0 + 0.02 * n for n in range(8)], [0.0, 0.1, 0.2, 9.9, 10.0], [3.0, 7.0]])
def test_names_at_the_right_stand_below_each_other_in_the_order_of_their_points(heights: list[float]) -> None:
    figure = Figure(figsize=(6, 4))
    axes: Axes = figure.subplots()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    labels = [Label(f"network {n}", 8.0, height, BLACK, bold=n == 1) for n, height in enumerate(heights)]
    place_right(axes, labels)
    figure.draw_without_rendering()
    boxes = {text.get_text(): Text.get_window_extent(text) for text in axes.texts}
    frame = axes.get_window_extent()
    for label in labels:
        box = boxes[label.text]
        assert frame.y0 - 1 <= box.y0
        assert box.y1 <= frame.y1 + 1
    middles = [(boxes[label.text].y0 + boxes[label.text].y1) / 2 for label in labels]
    assert middles == sorted(middles)
    assert not any(one.overlaps(other.shrunk(1, 0.9)) for one, other in combinations(boxes.values(), 2))
    if heights == [3.0, 7.0]:
        assert middles == pytest.approx([axes.transData.transform((8, y))[1] for y in heights], abs=1)
