"""``python -m harness.budget``: the keys scripts rely on, the pictures, and bad input."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from harness import cli, study
from harness.budget import main
from harness.core.arch import ARCHS
from harness.core.budget import Budget
from harness.core.names import load_space
from harness.core.record import TrialRecord
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.models.builder import build
from harness.models.costs import count


def _json(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, object]:
    assert main([*argv, "--json"]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_a_space_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _json(capsys, "--space", "v1_to_v2")
    counts = SpaceCounts(load_space("v1_to_v2"))
    assert answer["configurations"] == 128
    assert answer["buildable"] == counts.buildable
    assert answer["feasible"] == counts.feasible(Budget())
    assert (answer["smallest"], answer["largest"]) == (counts.smallest, 489_786)
    assert isinstance(answer["configurations_per_second"], float)
    assert answer["configurations_per_second"] > 0
    bars = answer["histogram"]
    assert isinstance(bars, dict)
    assert sum(bars["counts"]) == counts.buildable
    within = bars["edges"].index(256_148)
    assert sum(bars["counts"][:within]) == counts.feasible(Budget())


def test_the_smallest_excess_and_the_changes_that_remove_it() -> None:
    space = load_space("v2_light")
    counts = SpaceCounts(space)
    over = counts.over(Budget())
    assert over is not None
    total, configuration = over
    assert total > 256_148
    assert count(space.arch(configuration)) == total
    assert not any(256_148 < value < total for value in counts.histogram.values.tolist())
    moves = counts.moves(configuration, Budget())
    assert moves
    for move in moves:
        group = next(iter(move.changed)).partition(".")[0]
        kept = {k: v for k, v in configuration.items() if not k.startswith(f"{group}.")}
        candidates = [
            c
            for c in space.group_configurations(group)
            if c.items() >= move.changed.items() and counts.total({**kept, **c}) == total - move.saving
        ]
        assert candidates, str(move)
        assert total - move.saving <= 256_148
    assert counts.over(Budget(10**9)) is None


@pytest.mark.parametrize("limit", [253_047, 256_148, 489_786, 10**9])
def test_bars_cover_every_configuration(capsys: pytest.CaptureFixture[str], limit: int) -> None:
    answer = _json(capsys, "--space", "v1_to_v2", "--budget", str(limit))
    bars = answer["histogram"]
    assert isinstance(bars, dict)
    assert sum(bars["counts"]) == answer["buildable"]
    assert len(bars["counts"]) < 30


def test_an_arch_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _json(capsys, "--arch", "v2_as_written", "--against", "v1")
    assert answer["total"] == 268_060
    assert answer["excess"] == 11_912
    assert answer["macs"] == 444_840_000
    assert str(answer["hints"]).startswith("head.trunk=none saves 12,384")
    parts, against = answer["parts"], answer["against"]
    assert isinstance(parts, dict)
    assert isinstance(against, dict)
    assert sum(parts.values()) == 268_060
    assert against["total"] == 487_103
    assert _json(capsys, "--arch", "v2", "--budget", "256200")["excess"] == -44


def test_the_printed_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", "v2_light"]) == 0
    text = capsys.readouterr().out
    assert "budget ─┤" in text
    assert "smallest excess: 1" in text
    assert main(["--arch", "v2", "--against", "v1"]) == 0
    text = capsys.readouterr().out
    for expected in ("256,156", "-230,947", "410,568,000", "8 over the budget", "ssh_grouped(groups=4, reduction=2)"):
        assert expected in text
    assert "263,643 with buffers, 252,450 once deployed (BatchNorms folded), 1,054,872 bytes of weights" in text
    assert main(["--arch", "v2", "--budget", "300000", "--max-macs", "400000000", "--depth", "9"]) == 0
    text = capsys.readouterr().out
    assert "10,568,000 over the budget of 400,000,000 MACs at 640×640; neck.repeats=1 saves" in text
    assert "        pointwise" in text
    assert main(["--arch", "v2", "--budget", "300000"]) == 0
    assert "43,844 parameters left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--space", "v2_lihgt"], "did you mean 'v2_light'?"),
        (["--space", "search_spaces/v2_light.py"], "is a path: give a name; did you mean 'v2_light'?"),
        (["--arch", "v3"], "unknown arch 'v3'"),
        (["--arch", "v2", "--against", "v3"], "unknown arch 'v3'"),
        (["--space", "v2_light", "--budget", "0"], "budget must be a positive number of parameters, got 0"),
        (["--arch", "v2", "--budget", "-5"], "got -5"),
        (["--space", "v2_light", "--budget", "213072"], "its smallest configuration has 227,178"),
        (["--space", "v2_light", "--arch", "v2"], "not allowed with argument"),
        (["--space", "v2_light", "--against", "v1"], "--against needs --arch"),
        (["--arch", "v2", "--size", "0"], "--size must be a positive number of pixels"),
        (["--arch", "v2", "--depth", "0"], "--depth must be a positive number of levels"),
        (["--arch", "v2", "--plot", "parts"], "--plot must end in .png, .svg or .pdf, got parts"),
        (["--arch", "v2", "--max-macs", "0"], "a positive number of MACs at 640×640, got 0"),
        (["--arch", "v2", "--max-megabytes", "nan"], "--max-megabytes must be a number of 10^6 bytes, got nan"),
        (["--arch", "v2", "--max-megabytes", "x"], "invalid"),
        (["--space", "v2_light", "--max-macs", "1000"], "the smallest values are 227,178 parameters, 3"),
        (["--space", "v2_light", "--max-megabytes", "0.5"], "bytes of weights"),
        ([], "one of the arguments --space --space-file --arch --trial is required"),
    ],
)
def test_bad_input_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(main, argv)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_space_under_several_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    answer = _json(capsys, "--space", "v1_to_v2", "--max-macs", "409000000", "--max-megabytes", "1.05")
    budget = Budget(max_macs=409_000_000, max_bytes=1_050_000)
    assert answer["feasible"] == SpaceCounts(load_space("v1_to_v2")).feasible(budget)
    assert answer["bounds"] == [
        {"measure": "parameters", "limit": 256_148},
        {"measure": "MACs at 640×640", "limit": 409_000_000},
        {"measure": "bytes of weights", "limit": 1_050_000},
    ]


def _leaves(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not node["children"]:
        yield node
    for child in node["children"]:
        yield from _leaves(child)


@pytest.mark.parametrize("name", ["v1", "v2", "v2_as_written"])
def test_the_tree_adds_up_and_its_shapes_are_real(capsys: pytest.CaptureFixture[str], name: str) -> None:
    answer = _json(capsys, "--arch", name, "--size", "100")
    root = answer["tree"]
    assert isinstance(root, dict)
    assert (root["params"], root["macs"]) == (answer["total"], answer["macs"])
    assert {child["name"]: child["params"] for child in root["children"]} == answer["parts"]
    assert {child["name"]: child["macs"] for child in root["children"]} == answer["macs_parts"]
    assert sum(leaf["macs"] for leaf in _leaves(root)) == answer["macs"]
    detector = build(ARCHS[name]).eval()
    with torch.no_grad():
        raw = detector.raw(torch.zeros(1, 3, 100, 100))
    shuffle, head = root["children"][-2:]
    assert [tuple(shape) for shape in shuffle["shapes"]] == [tuple(feature.shape[1:]) for feature in raw.features]
    assert [tuple(shape) for shape in head["shapes"]] == [tuple(one.shape[1:]) for one in raw[:3]]


@pytest.mark.parametrize(
    "argv",
    [("--space", "v1_to_v2"), ("--space", "v2_light", "--budget", "1000000"), ("--arch", "v2", "--against", "v1")],
)
def test_pictures(capsys: pytest.CaptureFixture[str], tmp_path: Path, argv: tuple[str, ...]) -> None:
    path = tmp_path / "new" / "picture.png"
    assert main([*argv, "--plot", str(path)]) == 0
    assert "written:" in capsys.readouterr().out
    picture = cv2.imread(str(path))
    assert picture is not None
    assert min(picture.shape[:2]) > 300
    assert picture.std() > 10


def test_a_trial_of_a_study(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trials = tmp_path / "first" / "trials"
    TrialRecord("0007", "candidate", 7, arch=ARCHS["v2"].to_dict()).save(trials / "0007")
    TrialRecord("v1", "reference", arch=ARCHS["v1"].to_dict()).save(trials / "v1")
    runs = ("--runs", str(tmp_path))
    for number in ("7", "0007"):
        assert _json(capsys, "--trial", f"first/{number}", *runs)["total"] == 256_156
    answer = _json(capsys, "--trial", "first/v1", "--against", "v2", *runs)
    assert (answer["arch"], answer["total"]) == ("first/v1", 487_103)
    for trial, message in (
        ("frist/7", f"unknown study in {tmp_path}: 'frist'; did you mean 'first'? (known: first)"),
        ("first/8", "unknown trial of first: '0008'; did you mean '0007'? (known: 0007, v1)"),
        ("first", "--trial names a study and a trial's number, as in default/7, got 'first'"),
    ):
        with pytest.raises(InputError) as refused:
            main(["--trial", trial, *runs])
        assert message in str(refused.value)


def test_a_study_takes_the_same_bounds() -> None:
    given = study._parser().parse_args(["--max-macs", "400000000", "--max-megabytes", "1.06", "--trials", "3"])
    assert study.configure(given).budget == Budget(max_macs=400_000_000, macs_size=640, max_bytes=1_060_000)
    assert study.configure(study._parser().parse_args(["--budget", "240000"])).budget == Budget(240_000)
    quick = study._parser().parse_args(["--study", "quick", "--max-macs", "9000000"])
    assert study.configure(quick).budget == Budget(max_macs=9_000_000, macs_size=64)
