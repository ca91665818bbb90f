"""Real trainings of the table."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import benchmarks.tabular.__main__ as command
from benchmarks.tabular import graded
from benchmarks.tabular.graded import Graded, train_graded
from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.table import Table
from harness.core.training import DistillConfig, TrainConfig
from harness.errors import DataError
from harness.models.builder import build
from harness.models.weights import load_weights, save_weights, state_digest
from harness.training.grade import val_ap
from harness.training.job import WEIGHTS, Job
from harness.training.loop import train
from tests.toy import SEED, THREADS


def epochs_of(graded: Graded, stop: int = 0) -> list[dict[str, Any]]:
    """Train, up to epoch ``stop`` if it is given, and return what each epoch reported."""
    found: list[dict[str, Any]] = []

    def on_epoch(info: dict[str, Any]) -> bool:
        found.append(info)
        return bool(info["epoch"] != stop)

    train_graded(graded, on_epoch)
    return found


class TestTraining:
    """Real trainings of a few scenes."""

    pytestmark = pytest.mark.trains

    @pytest.fixture
    def job(self, tmp_path: Path, cache: Path) -> Job:
        teacher = tmp_path / "v1.safetensors"
        with torch.random.fork_rng():
            torch.manual_seed(1_007)
            save_weights(build(ARCHS["v1"]), teacher)
        return Job(
            label="v2",
            arch=ARCHS["v2"],
            seed=SEED + 3,
            train=TrainConfig(epochs=3, batch=8, lr=2e-3),
            data=DataConfig(size=64, train_images=16, search_images=8, val_images=8),
            evaluation=EvalConfig(max_detections=50),
            folder=tmp_path / "v2",
            cache=cache,
            distill=DistillConfig(),
            teacher=teacher,
            teacher_arch=ARCHS["v1"],
            init_backbone=teacher,
            threads=THREADS,
        )

    def test_every_epoch_has_an_ap_and_the_training_is_the_same(self, job: Job) -> None:
        found = epochs_of(Graded(job))
        plain = replace(job, folder=job.folder.with_name("plain"))
        aps: list[dict[str, Any]] = []

        def on_epoch(info: dict[str, Any]) -> bool:
            aps.append(info["ap"])
            return True

        train(plain, on_epoch)
        assert (job.folder / WEIGHTS).read_bytes() == (plain.folder / WEIGHTS).read_bytes()
        assert [info["ap"] for info in found] == aps
        network = build(job.arch)
        load_weights(network, job.folder / WEIGHTS)
        assert found[-1]["val"] == val_ap(job, network)

    @pytest.fixture
    def by_weights(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Instead of an AP, which is near 0 after so few steps, the digest of the network that is evaluated."""
        monkeypatch.setattr(graded, "val_ap", lambda _, network: {"mean": state_digest(network)})

    @pytest.mark.usefixtures("by_weights")
    @pytest.mark.parametrize("ema", [0.0, 0.5])
    def test_the_network_of_the_epoch_is_evaluated(self, job: Job, ema: float) -> None:
        job = replace(job, train=replace(job.train, ema=ema))
        found = [info["val"]["mean"] for info in epochs_of(Graded(job))]
        network = build(job.arch)
        load_weights(network, job.folder / WEIGHTS)
        assert found[-1] == state_digest(network)
        assert len(set(found)) == len(found) == 3

    @pytest.mark.usefixtures("by_weights")
    def test_a_resumed_training_has_the_same_aps(self, job: Job) -> None:
        whole = [info["val"] for info in epochs_of(Graded(replace(job, folder=job.folder.with_name("whole"))))]
        parts = [info["val"] for info in epochs_of(Graded(job), 2)]
        assert parts == whole[:2]
        again = [info["val"] for info in epochs_of(Graded(job, tuple(parts[:1])))]
        assert again == whole, "the second AP is that of the checkpoint's network"

    def test_epochs_without_an_evaluation_have_no_ap(self, job: Job) -> None:
        job = replace(job, train=replace(job.train, evaluate_every=2))
        found = epochs_of(Graded(job))
        assert [bool(info["ap"]) for info in found] == [bool(info["val"]) for info in found] == [False, True, True]

    def test_an_ap_whose_network_is_gone_is_missed(self, job: Job) -> None:
        epochs_of(Graded(job), 2)
        with pytest.raises(DataError, match="has a network after 2 epochs, but no AP after 1"):
            train_graded(Graded(job), lambda _: True)


@pytest.mark.slow
@pytest.mark.trains
def test_the_whole_command(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cache").symlink_to(cache)
    arguments = ["--quick", "--configurations", "1", "--seeds", "1", "--workers", "1", "--runs", str(tmp_path)]
    assert command.main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "complete": True,
        "networks": 2,
        "trainings": 2,
        "wanted": 2,
        "failed": 0,
        "measured": 0,
        "table": str(next(tmp_path.glob("tabular-*")) / "table.json"),
    }
    assert command.main([*arguments, "--measure"]) == 0
    assert "measured: 2" in capsys.readouterr().out
    table = Table.load(Path(answer["table"]))
    assert table.command == "python -m benchmarks.tabular --quick --configurations 1 --seeds 1"
    assert all(network.speed["ratio_to_v1"] > 0 for network in table.networks)
    assert {len(one.val["mean"]) for network in table.networks for one in network.trainings} == {2}
