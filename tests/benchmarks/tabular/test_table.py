"""What the table holds."""

from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks.tabular.__main__ as command
import benchmarks.tabular.protocol as protocols
from benchmarks.tabular import make, rows
from benchmarks.tabular.make import Maker
from benchmarks.tabular.protocol import FOLDER, protocol
from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.names import load_space, load_study
from harness.core.record import TrialRecord
from harness.core.table import TABLE, Table
from harness.core.training import TrainConfig
from harness.counting import SpaceCounts
from harness.search.speeds import Stopwatch
from tests.benchmarks.tabular.stub import COMMAND, EPOCHS, Disk, ap_of, epoch_of, made, resources
from tests.data.tiny_widerface import TRAIN, write_retinaface


class TestTable:
    @pytest.fixture
    def table(self, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
        return Table.load(made(runs, Disk(), monkeypatch)[0])

    def test_every_network_has_its_trainings(self, table: Table) -> None:
        assert [network.label for network in table.networks] == ["0000", "0001", "v2"]
        assert table.complete
        assert table.wanted == sum(len(network.trainings) for network in table.networks) == 6
        seeds = {tuple(one.seed for one in network.trainings) for network in table.networks}
        assert len(seeds) == 1, "all networks have the same seeds"
        assert len(set(seeds.pop())) == 2
        assert table.epochs == EPOCHS

    def test_networks_are_those_of_their_configurations(self, table: Table) -> None:
        space = load_space(table.space)
        counts = SpaceCounts(space)
        assert table.space_digest == space.digest()
        for network in table.networks:
            space.check(network.configuration)
            assert network.arch == space.arch(network.configuration).to_dict()
            assert network.params == counts.total(network.configuration) == sum(network.parts.values())
            assert network.feasible == counts.is_feasible(network.configuration, table.budget)

    def test_v2_is_marked_as_over_the_budget(self, table: Table) -> None:
        assert [network.feasible for network in table.networks] == [True, True, False]
        assert table.networks[-1].params == table.budget.max_params + 8
        assert table.networks[-1].arch == ARCHS["v2"].to_dict()

    def test_aps_are_those_of_every_epoch_on_both_splits(self, table: Table) -> None:
        for network in table.networks:
            for number, trained in enumerate(network.trainings, start=1):
                label = network.label if number == 1 else f"{network.label}-s{number}"
                for split, found in (("search", trained.search), ("val", trained.val)):
                    for name in ("easy", "medium", "hard", "mean"):
                        values = [ap_of(label, epoch, split)[name] for epoch in range(1, EPOCHS + 1)]
                        assert found[name] == [None if v is None else round(v, 5) for v in values]
                assert trained.losses == {"box": [1.235, 0.6173], "total": [3.0, 3.0]}
                assert trained.seconds == [1.23, 1.23]

    def test_what_it_depends_on_is_said(self, table: Table) -> None:
        assert set(table.images) == {"train", "search", "val"}
        assert table.search_protocol["digest"] != table.protocol["digest"]
        assert table.teacher["params"] == 487_103
        assert len(table.teacher["digest"]) > 8
        assert len(table.provenance) == 1
        assert table.command == COMMAND
        assert table.drawn == {"configurations": 2, "seed": 0, "feasible": 111_949}


def test_the_table_is_written_after_every_training(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[bool, int]] = []

    def seen(path: Path) -> None:
        table = Table.load(path)
        written.append((table.complete, sum(len(network.trainings) for network in table.networks)))

    _, shown = made(runs, Disk(), monkeypatch, seen=seen)
    assert written == [(count == 6, count) for count in range(1, 7)]
    assert shown.stages[-1] == ("6 trainings, epochs", 12, 12)
    assert len(shown.lines) == 6


def test_latencies_are_measured_once_per_network(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def measure(_: Stopwatch, record: TrialRecord) -> None:
        measured.append(record.label)
        record.speed = {"latency_ms": 12.3456, "ratio_to_v1": 1.23456, "fps": 81.0, "size": 64}

    monkeypatch.setattr(Stopwatch, "measure", measure)
    out, shown = made(runs, Disk(), monkeypatch)
    for _ in range(2):
        maker = Maker(protocol("quick", 2, 2), resources(runs), shown, COMMAND)
        with maker.opened(out):
            maker.measure(out)
    assert measured == ["0000", "0001", "v2"]
    for network in Table.load(out).networks:
        assert network.speed == {"latency_ms": 12.35, "ratio_to_v1": 1.235, "size": 64}


def test_an_epoch_without_an_evaluation_has_no_ap_in_the_table() -> None:
    record = TrialRecord("0000", "candidate", state="complete")
    record.epochs = [
        {**epoch_of("0000", 1), "ap": {}, "val": {}},
        {**epoch_of("0000", 2), "val": ap_of("0000", 2, "val")},
    ]
    found = rows.trained(record)
    assert found.search["mean"] == [None, round(ap_of("0000", 2, "search")["mean"] or 0, 5)]
    assert found.val["easy"][0] is None
    assert len(found.losses["total"]) == len(found.seconds) == 2
    assert found.aps == found.search["mean"][1:]


def test_the_table_is_where_the_simulation_looks_for_it() -> None:
    assert Path(__file__).parents[3] / TABLE == command.TABLE_HERE


def test_the_table_of_photographs_names_no_folder(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = write_retinaface(tmp_path / "photographs", TRAIN)
    data = DataConfig(source="widerface", size=64, train_images=0, search_images=1, val_images=0)
    mini = replace(load_study("widerface_mini"), data=data, train=TrainConfig(epochs=EPOCHS))
    monkeypatch.setattr(protocols, "load_study", lambda _: mini)
    monkeypatch.setattr(make, "Processes", Disk().pool)
    out = tmp_path / "table.json"
    arguments = ["--study", "widerface_mini", "--data", str(copy), "--configurations", "1", "--seeds", "1"]
    assert command.main([*arguments, "--evaluate-every", "2", "--runs", str(runs), "--out", str(out), "--json"]) == 0
    assert str(tmp_path) not in out.read_text(encoding="utf-8")
    table = Table.load(out)
    assert table.config.data.source == FOLDER
    assert table.command.endswith("--data PATH/TO/WIDERFACE --configurations 1 --seeds 1 --evaluate-every 2")
