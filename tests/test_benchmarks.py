"""Every benchmark runs, at toy sizes; the table in ``benchmarks/README.md`` is the one that the results make."""

import ast
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import benchmarks.__main__ as command
from benchmarks import common_seeds, latency, table, timing
from benchmarks.registry import BENCHMARKS, VALIDATIONS
from benchmarks.timing import Case, Variant, measure
from harness import cli
from harness.core.arch import ARCHS
from harness.core.names import load_space, load_study
from harness.core.record import load_records
from harness.models.costs import count

NEEDS_DATA = {"evaluator_widerface"}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where results would be written, instead of those of the repository."""
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(table, "README", tmp_path / "README.md")
    return tmp_path


def quick(capsys: pytest.CaptureFixture[str], name: str, *options: str) -> dict[str, Any]:
    assert command.main([name, "--quick", "--json", *options]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert list(found) == [name]
    return dict(found[name])


def check(result: dict[str, Any], name: str) -> None:
    """Assert that a result says all that a reader must know, and that its numbers can be times."""
    assert result["name"] == name
    assert result["measures"] == BENCHMARKS[name]
    assert result["command"].startswith(f"python -m benchmarks {name}")
    assert {"python", "harness", "torch", "numpy", "optuna", "opencv"} <= set(result["versions"])
    assert result["processor"]
    assert result["cores"] >= 1
    assert result["load"] >= 0
    assert len({(case["case"], case["ratio"], case["threads"]) for case in result["cases"]}) == len(result["cases"]) > 0
    for case in result["cases"]:
        low, high = case["quartiles"]
        assert 0 < low <= case["median"] <= high
        assert case["spread"] == pytest.approx(high - low, abs=1e-3 * high)
        assert case["rounds"] >= 2
        assert case["threads"] >= 1
        assert len(case["seconds"]) == 2
        assert min(case["seconds"].values()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(BENCHMARKS) - NEEDS_DATA))
def test_runs(name: str, capsys: pytest.CaptureFixture[str], elsewhere: Path) -> None:
    result = quick(capsys, name)
    check(result, name)
    assert {case["rounds"] for case in result["cases"]} == {timing.QUICK_ROUNDS}
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize("name", sorted(NEEDS_DATA))
def test_is_skipped_with_the_reason_where_data_are_missing(
    name: str, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    assert "--data" in quick(capsys, name)["skipped"]
    assert str(elsewhere) in quick(capsys, name, "--data", str(elsewhere))["skipped"]
    assert command.main([name, "--quick"]) == 0
    assert f"{name}: skipped" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(NEEDS_DATA))
def test_runs_on_real_data(name: str, capsys: pytest.CaptureFixture[str], widerface_root: Path) -> None:
    result = quick(capsys, name, "--data", str(widerface_root))
    check(result, name)
    assert str(widerface_root) not in json.dumps(result)


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.run(command.main, ["losses", "inferense"])
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'inferense'" in line
    assert "did you mean 'inference'" in line
    assert all(name in line for name in BENCHMARKS)


def test_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list(BENCHMARKS)
    assert command.main(["--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == BENCHMARKS


def test_variants_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock of its own: one takes 1, 2, 3, 4 and 5 seconds for two, the other always 2 seconds for one."""
    now, calls, rounds = 0.0, list[str](), list[tuple[int, int]]()
    durations = iter([9.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr(timing, "perf_counter", lambda: now)

    def run(label: str, seconds: float) -> None:
        nonlocal now
        calls.append(label)
        now += seconds

    case = Case(
        "x",
        Variant("a", lambda: run("a", next(durations)), amount=2),
        Variant("b", lambda: run("b", 2.0)),
        rounds=5,
        facts={"known": 1},
    )
    result = measure(case, False, lambda done, total: rounds.append((done, total)))
    assert result == {
        "case": "x",
        "ratio": "a / b",
        "median": 0.75,
        "quartiles": [0.5, 1.0],
        "spread": 0.5,
        "rounds": 5,
        "threads": 1,
        "seconds": {"a": 1.5, "b": 2.0},
        "facts": {"known": 1},
    }
    assert rounds == [(done, 5) for done in range(6)]
    turns = list(zip(calls[::2], calls[1::2], strict=True))
    assert all(set(turn) == {"a", "b"} for turn in turns)
    assert all(one != other for one, other in pairwise(turns[1:]))


def test_a_result_is_written_and_the_table_made(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = {"case": "x", "ratio": "a / b", "median": 1_234.5, "quartiles": [0.00251, 2.0], "threads": 2}
    result = {"cases": [case], "versions": {"torch": "2"}, "processor": "P", "cores": 4}
    monkeypatch.setattr(command, "run", lambda name, *_: {"name": name} | result)
    assert command.main(["losses"]) == 0
    assert (
        json.loads((elsewhere / "results" / "losses.json").read_text(encoding="utf-8")) == {"name": "losses"} | result
    )
    text = (elsewhere / "README.md").read_text(encoding="utf-8")
    row = "| [losses](results/losses.json) | x | 2 | a / b | 1,234 | 0.00251 – 2.00 |"
    assert [line for line in text.splitlines() if line.startswith("| [")] == [row]
    assert "Measured on P, 4 cores; torch 2." in text
    assert capsys.readouterr().out == "losses, x, threads 2: a / b = 1,234 (0.00251 – 2.00)\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(4_566_853.0, "4,566,853"), (99.96, "100"), (12.345, "12.3"), (1.0, "1.00"), (0.00123, "0.00123")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert table.number(value) == text


def test_the_committed_table_is_that_of_the_committed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "RESULTS", table.HERE / "results")
    results = table.load()
    assert (table.HERE / "README.md").read_text(encoding="utf-8") == table.render(results)
    assert list(results) == list(BENCHMARKS), "run make bench; what reads WIDER FACE needs --data"
    for name, result in results.items():
        check(result, name)
    stored = {path.stem for path in table.RESULTS.glob("*.json")}
    others = {*VALIDATIONS, "faults", "scale"}
    assert {*BENCHMARKS} <= stored <= {*BENCHMARKS, *others}, "the table says which validations have not run yet"


def test_every_file_is_registered() -> None:
    found = set()
    for path in table.HERE.glob("*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        if any(isinstance(node, ast.FunctionDef) and node.name == "cases" for node in body):
            found.add(path.stem)
    assert found == set(BENCHMARKS)
    assert all((table.HERE / f"{name}.py").is_file() for name in VALIDATIONS)


@pytest.mark.slow
def test_predicted_latencies_are_compared_with_measured_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = latency.main(["--quick", "--runs", str(tmp_path)])
    assert json.loads(capsys.readouterr().out) == result
    assert (result["space"], result["candidates"], len(result["latencies"])) == (latency.QUICK_SPACE, 3, 3)
    assert set(result["agreement"]) == {"predicted", "sum_plus_constant", "macs", "parameters", "second_measurement"}
    assert list(tmp_path.glob("cache/latency/*.json"))


def test_agreement_of_predictions() -> None:
    measured = np.array([0.5, 0.6, 0.8, 1.0])
    assert latency.agreement(measured, measured) == {
        "kendall": 1.0,
        "spearman": 1.0,
        "median_error": 0.0,
        "largest_error": 0.0,
        "bias": 0.0,
    }
    found = latency.agreement(measured[[1, 0, 2, 3]] * 1.1, measured)
    assert found["kendall"] == pytest.approx(4 / 6, abs=1e-3)
    assert found["spearman"] == pytest.approx(0.8)
    assert found["largest_error"] == pytest.approx(32)
    assert found["bias"] == pytest.approx(10)


@pytest.mark.slow
@pytest.mark.trains
def test_common_seeds_are_compared_with_different_ones(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cache").symlink_to(cache)
    result = common_seeds.main(["--quick", "--runs", str(tmp_path)])
    assert json.loads(capsys.readouterr().out) == result
    assert result["parameters"] == {"v2": 256_156, "candidate": 250_386}
    assert result["noise"]["seeds"] == common_seeds.QUICK_SEEDS
    assert {len(aps) for aps in result["aps"].values()} == {common_seeds.QUICK_SEEDS}
    records = load_records(tmp_path / "common_seeds")
    seeds = {label: {r.seed for r in records if label in (r.label, r.repeat_of)} for label in ("v2", "0000")}
    assert len(seeds["v2"]) == common_seeds.QUICK_SEEDS
    assert seeds["v2"] == seeds["0000"]


def test_the_two_networks_differ_in_one_option_and_one_fits() -> None:
    study, default = common_seeds.protocol(12, quick=False), load_study("default")
    space = load_space(study.space)
    (configuration,) = study.enqueued
    v2, candidate = ARCHS["v2"].to_dict(), space.arch(configuration).to_dict()
    assert {slot for slot, part in v2.items() if candidate[slot] != part} == {"neck"}
    assert count(space.arch(configuration)) <= study.budget.max_params
    assert (study.trials, study.seeds, study.references) == (1, 12, ("v2",))
    for name in ("budget", "data", "train", "teacher", "distill", "evaluation", "seed"):
        assert getattr(study, name) == getattr(default, name)


def test_the_noise_of_differences_is_that_of_a_plain_computation() -> None:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(5_000)
    one, other = (60 + 2 * shared + rng.standard_normal(5_000) for _ in range(2))
    found = common_seeds.noise(one, other)
    assert found["paired"] == pytest.approx(2**0.5, rel=0.05)
    assert found["unpaired"] == pytest.approx(10**0.5, rel=0.05)
    assert found["correlation"] == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert found["correlation"] == pytest.approx(0.8, abs=0.02)
    apart = one[:40, None] - other[None, :40]
    pairs = apart[~np.eye(40, dtype=bool)]
    assert common_seeds.noise(one[:40], other[:40])["unpaired"] == pytest.approx(pairs.std(), rel=0.05)


def test_intervals_over_seeds_cover_the_value() -> None:
    rng = np.random.default_rng(1)
    shared = rng.standard_normal(12)
    one, other = (60 + 5 * shared + rng.standard_normal(12) for _ in range(2))
    result = common_seeds.compared(one, other)
    assert result["seeds"] == 12
    assert result["difference"] == pytest.approx((one - other).mean(), abs=1e-3)
    for name in ("paired", "unpaired", "ratio", "correlation"):
        low, high = result[name]["interval"]
        assert low < result[name]["value"] < high
    assert result["ratio"]["interval"][1] < 1
    none = common_seeds.compared(np.full(3, 60.0), np.full(3, 50.0))
    assert none["paired"] == {"value": 0.0, "interval": [0.0, 0.0]}
    assert none["ratio"] == {"value": None, "interval": [None, None]}
