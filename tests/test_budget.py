"""``python -m harness.budget``: the keys scripts rely on, the pictures, and bad input."""

import json

import pytest

from harness import cli
from harness.budget import main
from harness.counting import SpaceCounts, count
from harness.names import load_space
from harness.protocol import Budget


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


def test_the_smallest_excess_and_the_moves_that_mend_it() -> None:
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


def test_what_a_reader_sees(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--space", "v2_light"]) == 0
    text = capsys.readouterr().out
    assert "budget ─┤" in text
    assert "smallest excess: 1" in text
    assert main(["--arch", "v2", "--against", "v1"]) == 0
    text = capsys.readouterr().out
    for expected in ("256,156", "-230,947", "410,568,000", "8 over the budget", "ssh_grouped(groups=4, reduction=2)"):
        assert expected in text
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
        ([], "one of the arguments --space --arch is required"),
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
