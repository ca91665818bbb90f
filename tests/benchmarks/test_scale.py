"""Simulated workers, what is computed from cases, and one run of everything at toy size."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import table
from benchmarks.scale.__main__ import main
from benchmarks.scale.fit import exponent
from benchmarks.scale.meter import REST, SEARCH, SENDER, Meter
from benchmarks.scale.page import picture, section
from benchmarks.scale.simulated import Simulated
from benchmarks.scale.summary import saturation, summary
from benchmarks.scale.sweep import QUICK_SIZES, QUICK_WORKERS
from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import TrainConfig
from harness.training.job import Job


@pytest.mark.slow
@pytest.mark.trains
@pytest.mark.server
def test_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(table, "RESULTS", tmp_path / "results")
    assert main(["--quick", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not list(tmp_path.iterdir())
    assert {row["trials"] for row in found["sizes"]} == set(QUICK_SIZES)
    assert [row["workers"] for row in found["workers"]] == list(QUICK_WORKERS)
    for row in (*found["sizes"], *found["workers"]):
        assert {"propose", "storage", "records", "hand over", SENDER, REST} <= set(row["cost_ms"])
        assert row["total_ms"] == pytest.approx(sum(row["cost_ms"].values()), abs=0.01)
        assert 0 <= row["kept_waiting"] < 1
        assert 0 < row["search_busy"] < 1
        assert not row["unsent"]
    for row in found["sizes"]:
        assert min(row["start"], row["resume"], row["report"], row["memory"]) > 0
    assert found["summary"]["exponents"], "none can be fitted to two sizes, but all are asked for"


def job(label: str) -> Job:
    folder = Path()
    return Job(label, ARCHS["v2"], 0, TrainConfig(epochs=2), DataConfig(), EvalConfig(), folder, folder)


def test_trainings_take_no_time_and_the_clock_jumps() -> None:
    pool = Simulated(3, 600.0, lambda: False)
    for label in ("a", "b"):
        pool.start(label, job(label))
    kinds: dict[str, list[str]] = {"a": [], "b": []}
    while pool.idle < 3:
        for event in pool.wait():
            kinds[event.label].append(event.kind)
            if event.kind == "epoch":
                pool.answer(event.label, go_on=event.label == "a" or event.content["epoch"] < 1)
    assert kinds == {"a": ["epoch", "epoch", "result"], "b": ["epoch", "result"]}
    assert 600 < pool.trained < 1_500, "two epochs of one training, and one of the other"
    assert 400 < pool.jumped < 1_200
    assert pool.unused >= pool.jumped, "the third worker never had a job"


def test_the_clock_does_not_jump_while_the_harness_works() -> None:
    works = iter([True] * 4 + [False])
    pool = Simulated(1, 600.0, lambda: next(works))
    pool.start("a", job("a"))
    pool.wait()
    assert not list(works), "it was asked until it said no"


def test_time_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at a clock takes a second."""
    for clock in ("perf_counter", "thread_time"):
        monkeypatch.setattr(f"benchmarks.scale.meter.time.{clock}", count().__next__)
    meter = Meter()
    inner = meter.timed("storage", lambda: None)
    outer = meter.timed(SEARCH, lambda: (inner(), inner()))
    outer()
    assert meter.seconds == meter.processor == {"storage": 2, SEARCH: 3}


def test_exponents_are_found() -> None:
    sizes = [100, 300, 1_000, 3_000]
    assert exponent(sizes, [2 * n**1.5 for n in sizes]) == {"exponent": 1.5, "low": 1.5, "high": 1.5}
    rng = np.random.default_rng(0)
    found = exponent(sizes, [n * np.exp(rng.normal(0, 0.1)) for n in sizes])
    assert found["low"] < 1 < found["high"]
    assert exponent([1, 2], [1, 2])["exponent"] is None
    assert exponent(sizes, [0, 1, 2, 3])["exponent"] is None


def size(trials: int, ms: float) -> dict[str, Any]:
    cost = {"propose": ms, "storage": 20.0, SENDER: 80.0}
    row = {"trials": trials, "store": "SQLite", "cost_ms": cost, "total_ms": sum(cost.values())}
    return row | {"memory": 700.0 + trials / 100, "resume": 5.0 + trials / 100, "report": 2.0 + trials / 1_000}


def crowd(workers: int, waiting: float) -> dict[str, Any]:
    row = {"workers": workers, "trials": 4 * workers, "seconds": 60.0, "kept_waiting": waiting}
    row |= {"search_busy": 0.9, "sender_busy": 0.95, "trials_a_second": 12.34}
    return row | {"cost_ms": {"propose": 30.0, SENDER: 80.0}}


SIZES = [size(n, n / 10) for n in (100, 1_000, 10_000)]
CROWDS = [crowd(1, 0.001), crowd(100, 0.02), crowd(1_000, 0.2)]


def test_what_grows_faster_than_the_trials_is_named() -> None:
    found = summary(SIZES, CROWDS)
    exponents = found["exponents"]["SQLite"]
    assert exponents["time of propose"]["exponent"] == 2
    assert exponents["time of storage"]["exponent"] == 1
    assert found["superlinear"] == ["time of propose (SQLite)"]


def test_what_saturates_first_is_named() -> None:
    found = saturation(CROWDS)
    assert (found["workers"], found["first"], found["largest"]) == (1_000, "the thread that sends to MLflow", SENDER)
    assert saturation(CROWDS[:2])["workers"] is None


def test_the_section_and_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"sizes": SIZES, "workers": CROWDS, "summary": summary(SIZES, CROWDS)}
    text = "\n".join(section(found))
    assert "| 10,000 | SQLite | 1,100 | propose 1000, MLflow 80, storage 20 | 105.0 s | 12.0 s | 800 MiB |" in text
    assert "Superlinear beyond the interval: time of propose (SQLite)." in text
    assert "1,000 workers are the first that wait for it more than 10 % of their time" in text
    assert "saturate nothing" in "\n".join(
        section(found | {"workers": CROWDS[:2]} | {"summary": summary(SIZES, CROWDS[:2])})
    )
    left, right = picture(found).axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("trials", "workers")
    assert len(right.lines) == 3
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    assert "(not run yet)" in table.render({})
    origin = {"versions": {"torch": "2"}, "processor": "P", "cores": 4}
    (tmp_path / "scale.json").write_text(json.dumps(found | origin))
    assert text in table.render({})
