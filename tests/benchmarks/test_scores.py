"""``python -m benchmarks.scores`` from the table to the report, at toy sizes, and everything that it computes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import benchmarks.scores.__main__ as command
import benchmarks.tabular.__main__ as tabular
import benchmarks.tabular.protocol as protocols
from benchmarks.scores import make, setting
from benchmarks.scores.catalogue import CATALOGUE, SHARED, SHORTER
from benchmarks.scores.data import Score, Scores
from benchmarks.scores.measured import measured
from benchmarks.scores.recipes import FULL, recipes
from benchmarks.scores.slices import sharing
from benchmarks.tabular import make as tabular_make
from benchmarks.tabular.protocol import FOLDER, protocol
from harness import cli
from harness.core.data import DataConfig
from harness.core.names import load_study
from harness.core.table import Table
from harness.core.training import DistillConfig, TrainConfig
from harness.data import load_split
from harness.data.faces import FaceSet
from harness.errors import InputError
from harness.training import grade
from tests.data.tiny_widerface import write_retinaface
from tests.pool import Pool, whole

CANDIDATES = 3
TOY = replace(
    load_study("quick"),
    data=DataConfig(size=64, train_images=16, search_images=8, val_images=8),
    teacher=TrainConfig(epochs=1, batch=8),
)

STARTED: list[str] = []
"""The labels of all trainings that were started."""


@pytest.fixture(scope="module", autouse=True)
def in_process() -> Iterator[None]:
    """Trainings run in this process, on a few scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocols, "load_study", lambda name: TOY if name == "quick" else load_study(name))
        for module in (setting, tabular_make):
            patch.setattr(module, "Processes", lambda work, *_: Pool(whole(work), 1, started=STARTED))
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    folder = tmp_path_factory.mktemp("scores")
    (folder / "cache").symlink_to(cache)
    return folder


@pytest.fixture(scope="module")
def table(runs: Path) -> Path:
    """A toy table of real trainings."""
    path = runs / "toy.json"
    arguments = ["--quick", "--configurations", str(CANDIDATES), "--runs", str(runs), "--out", str(path), "--json"]
    assert tabular.main([*arguments, "--workers", "1"]) == 0
    return path


def arguments(runs: Path, table: Path, *more: str) -> list[str]:
    given = ["--quick", "--table", str(table), "--candidates", str(CANDIDATES), "--runs", str(runs)]
    return [*given, "--workers", "1", *more]


def values(path: Path) -> dict[str, dict[str, float | None]]:
    return {name: score.values for name, score in Scores.load(path).scores.items()}


@pytest.fixture(scope="module")
def found(runs: Path, table: Path) -> Path:
    """The file of all values, of a run that never evaluated on the validation images."""

    def without_val(config: DataConfig, split: str, *more: Any) -> FaceSet:
        assert split != "val", "a score reads no validation images"
        return load_split(config, split, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grade, "load_split", without_val)
        assert command.main(arguments(runs, table)) == 0
    return runs / "scores_toy.json"


@pytest.mark.slow
@pytest.mark.trains
class TestCommand:
    def test_every_candidate_has_every_score_with_its_cost(self, found: Path, table: Path) -> None:
        scores, networks = Scores.load(found), Table.load(table).networks
        assert list(scores.scores) == list(CATALOGUE)
        assert list(scores.candidates) == [network.label for network in networks[:CANDIDATES]]
        for name, score in scores.scores.items():
            assert set(score.values) == set(scores.candidates), name
            assert None not in score.values.values(), name
            assert all(share > 0 for share in score.shares.values()), name
            assert set(score.shares) == set(scores.full), name
            assert bool(score.once) == (CATALOGUE[name].kind == SHARED), name
        for network in networks[:CANDIDATES]:
            assert scores.scores["params"].values[network.label] == network.params
            assert scores.scores["macs"].values[network.label] == network.macs
            assert scores.candidates[network.label].aps == [aps[-1] for _, aps in sorted(network.aps.items())]
        assert scores.seeds == sorted(networks[0].aps)
        assert scores.seed not in (0, *scores.seeds)

    def test_a_shorter_training_costs_its_steps_and_an_evaluation(self, found: Path) -> None:
        scores = Scores.load(found)
        for label, full in scores.full.items():
            for name in ("eighth_epochs", "half_images"):  # One of two epochs, and half of the steps.
                wanted = (full.steps / 2 + full.evaluation) / (full.steps + full.evaluation)
                assert scores.scores[name].shares[label] == pytest.approx(wanted), name
            assert full.seconds > 0

    def test_the_report_is_written_without_paths(self, found: Path, runs: Path, table: Path) -> None:
        folder = runs / "scores_toy"
        text = (folder / "report.md").read_text(encoding="utf-8")
        assert all(f"**{entry.title}**" in text for entry in CATALOGUE.values())
        assert f"python -m benchmarks.scores --quick --table PATH/TO/toy.json --candidates {CANDIDATES}" in text
        for path in (found, *folder.glob("*.*")):
            if path.suffix != ".png":
                assert str(runs) not in path.read_text(encoding="utf-8"), path
        frame = pd.read_csv(folder / "results.csv", dtype={"candidate": str})
        assert list(frame["candidate"]) == [network.label for network in Table.load(table).networks[:CANDIDATES]]
        assert set(CATALOGUE) - {"params", "macs"} <= set(frame.columns)
        assert (folder / "scores.png").exists() == ("![" in text)

    def test_what_is_measured_is_read(
        self, found: Path, runs: Path, table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(make, "make", None)
        before = found.read_bytes()
        assert command.main(arguments(runs, table, "--json", "--note", "A toy.")) == 0
        answer = json.loads(capsys.readouterr().out)
        assert {"ceiling", "cheap_scores", "findings", "report", "scores_file"} <= set(answer)
        assert set(answer["cheap_scores"]) == set(CATALOGUE)
        assert "**A toy.**" in (runs / "scores_toy" / "report.md").read_text(encoding="utf-8")
        assert json.loads(before)["scores"] == json.loads(found.read_bytes())["scores"]

    def test_an_interrupted_run_resumes_after_every_score(
        self, found: Path, runs: Path, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The trainings of the first run are gone; this one is interrupted after each score and within the last one."""
        next(runs.glob("scores-*")).rename(tmp_path / "earlier")
        names = ["naswot", "eighth_epochs", "half_side"]
        given = arguments(runs, table, "--scores", ",".join(names), "--out", str(tmp_path / "again.json"))
        wait = Pool.wait
        budget = 1

        def one(of: setting.Setting, name: str) -> Score:
            nonlocal budget
            if not budget:
                raise KeyboardInterrupt
            budget -= 1
            return measured(of, name)

        monkeypatch.setattr(make, "measured", one)
        for done in (1, 2):
            budget = 1
            with pytest.raises(KeyboardInterrupt):
                command.main(given)
            assert list(values(tmp_path / "again.json")) == names[:done]

        def stop(self: Pool, timeout: float | None = None) -> Any:
            if self.running == ["0001"]:
                raise KeyboardInterrupt
            return wait(self, timeout)

        budget = 1
        with monkeypatch.context() as patch:
            patch.setattr(Pool, "wait", stop)
            with pytest.raises(KeyboardInterrupt):
                command.main(given)
        budget = 1
        STARTED.clear()
        assert command.main(given) == 0
        assert STARTED == ["0001", "0002"], "0000 was trained before"
        whole, again = values(found), values(tmp_path / "again.json")
        assert list(again) == names
        assert again == {name: whole[name] for name in names}

    def test_other_candidates_are_measured_anew(
        self, found: Path, runs: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        changed = json.loads(found.read_text(encoding="utf-8")) | {"key": "another"}
        path = tmp_path / "scores.json"
        path.write_text(json.dumps(changed), encoding="utf-8")
        assert command.main(arguments(runs, table, "--out", str(path), "--scores", "params")) == 0
        assert list(Scores.load(path).scores) == ["params"]
        assert "everything is measured again" in capsys.readouterr().err

    def test_images_that_are_not_the_tables_are_refused(self, runs: Path, table: Path, tmp_path: Path) -> None:
        other = Table.load(table)
        other = replace(other, images={**other.images, "search": "0" * 16})
        other.save(tmp_path / "other.json")
        with pytest.raises(SystemExit, match="2"):
            cli.run(command.main, arguments(runs, tmp_path / "other.json"))

    def test_a_table_of_an_earlier_version_is_refused(
        self, runs: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        replace(Table.load(table), training=1).save(tmp_path / "other.json")
        with pytest.raises(SystemExit, match="2"):
            cli.run(command.main, arguments(runs, tmp_path / "other.json"))
        assert "by version 1 of the training code" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.trains
def test_photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything that the schedule of WIDER FACE has: mosaics, a frozen stage, an average, imitated maps."""
    boxes = {f"0--Parade/{number}": [(10, 12, 40, 50), (55, 40, 16, 26)] for number in range(24)}
    copy = write_retinaface(tmp_path / "photographs", boxes)
    train = TrainConfig(epochs=2, batch=8, large_crops=1, frozen_stages=1, ema=0.9, evaluate_every=2)
    mini = replace(
        load_study("widerface_mini"),
        data=DataConfig(source="widerface", size=64, train_images=0, search_images=6, val_images=0),
        train=train,
        teacher=replace(train, epochs=1, evaluate_every=1),
        distill=DistillConfig(feature_weight=10.0),
    )
    monkeypatch.setattr(protocols, "load_study", lambda _: mini)
    place = ["--data", str(copy), "--runs", str(tmp_path / "runs"), "--workers", "1"]
    path = tmp_path / "photographs.json"
    made = ["--study", "widerface_mini", "--configurations", "3", "--seeds", "1", "--evaluate-every", "2"]
    assert tabular.main([*made, "--out", str(path), *place]) == 0
    names = ["fisher", "naswot", "tuned_slices", "half_side"]
    given = ["--quick", "--table", str(path), "--candidates", "3", "--scores", ",".join(names), *place]
    assert command.main(given) == 0
    out = tmp_path / "runs" / "scores_photographs.json"
    assert list(values(out)) == names
    assert all(None not in found.values() for found in values(out).values())
    for file in (path, out, tmp_path / "runs" / "scores_photographs" / "report.md"):
        assert str(tmp_path) not in file.read_text(encoding="utf-8")
    assert Table.load(path).config.data.source == FOLDER
    with pytest.raises(SystemExit, match="2"):
        cli.run(command.main, [*given[: given.index("--scores")], "--scores", "params", *place[2:]])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--candidates", "7"], "--candidates must be at least 8"),
        (["--quick", "--candidates", "2"], "--candidates must be at least 3"),
        (["--scores", "sinflow"], "did you mean 'synflow'"),
        (["--scores", ","], "--scores names no score"),
        (["--publish", "a/b"], "--publish holds letters"),
        (["--table", "none.json"], "there is no table none.json"),
        (["--tabel", "none.json"], "did you mean --table"),
    ],
)
def test_bad_input_is_refused(tmp_path: Path, more: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.run(command.main, ["--runs", str(tmp_path), *more])
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


class TestRecipes:
    def test_each_changes_one_setting_of_the_full_schedule(self) -> None:
        config = protocol("scenes", 32, 2)
        found = recipes(config, 1_000, 160)
        full = replace(config.train, evaluate_every=12)
        assert set(found) == {FULL, *(name for name, entry in CATALOGUE.items() if entry.kind == SHORTER)}
        assert found[FULL].train == full
        epochs = {name: found[name].train.epochs for name in ("eighth_epochs", "quarter_epochs", "half_epochs")}
        assert epochs == {"eighth_epochs": 2, "quarter_epochs": 3, "half_epochs": 6}
        for name, count in epochs.items():
            assert found[name].train == replace(full, epochs=count, evaluate_every=count)
            assert found[name].data == config.data
        assert found["frozen"].train == replace(full, frozen_stages=3)
        assert found["half_images"].data == replace(config.data, train_images=500)
        assert found["half_side"].data == replace(config.data, size=64, eval_side=80)
        assert {found[name].train for name in ("half_images", "half_side")} == {full}

    def test_photographs_are_evaluated_at_half_of_their_side(self, tmp_path: Path) -> None:
        config = protocol("widerface_mini", 32, 1, tmp_path)
        data = recipes(config, 1_673, 641)["half_side"].data
        assert (data.size, data.eval_side) == (160, 320)
        assert recipes(config, 1_673, 641)["half_images"].data.train_images == 836
        assert (
            recipes(replace(config, data=replace(config.data, eval_side=512)), 9, 641)["half_side"].data.eval_side
            == 256
        )


def test_candidates_share_weights_as_in_the_study() -> None:
    study = load_study("default")
    assert sharing("default", protocol("scenes", 32, 2), quick=False) == study.sharing
    mini = sharing("default", load_study("widerface_mini"), quick=False)
    assert study.sharing is not None
    with pytest.raises(InputError, match="candidates of study 'widerface_mini' share no weights"):
        sharing("widerface_mini", load_study("widerface_mini"), quick=False)
    assert (mini.train.epochs, mini.train.ema, mini.train.frozen_stages) == (study.sharing.train.epochs, 0.0, 0)
    assert mini.train.large_crops == 1
