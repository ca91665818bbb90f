"""How a study uses the results of its trainings, for any results and any interruption."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.budget import Budget
from harness.core.digest import digest
from harness.core.manifest import Manifest
from harness.core.names import load_space
from harness.core.training import TrainConfig
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.models.builder import build
from harness.models.weights import file_digest, save_weights
from harness.training.checkpoint import read_state, write_checkpoint
from tests.search.stub import QUICK, Plan, Stub, outcome, records, rising, trials

pytestmark = pytest.mark.slow


def test_every_candidate_fits_and_is_recorded_whole(stub: Stub) -> None:
    space = load_space("v2_light")
    counts = SpaceCounts(space)
    candidates = [r for r in records(stub.study(trials=5)).values() if r.role == "candidate"]
    assert [r.number for r in candidates] == [0, 1, 2, 3, 4]
    for record in candidates:
        space.check(record.configuration)
        assert record.arch == space.arch(record.configuration).to_dict()
        assert record.params == counts.total(record.configuration) == sum(record.parts.values())
        assert record.params <= Budget().max_params
        assert (record.state, len(record.epochs)) == ("complete", QUICK.train.epochs)
        assert record.search_ap == record.epochs[-1]["ap"]
        assert record.teacher["label"] == "v1"
        assert (record.seconds["train"], record.seconds["evaluate"]) == (1.0, 0.5)
        assert set(record.seconds) == {"train", "evaluate", "speed", "total"}
        assert record.speed["ratio_to_v1"] == 1.25
        assert record.size_mb == pytest.approx(4e-6 * record.params, rel=0.1)
    assert len({r.seed for r in candidates}) == 1, "all have common random numbers"


def test_a_trial_below_the_others_is_stopped(stub: Stub) -> None:
    folder = stub.study(Plan(ap=rising(7, **{"0005": [0.1, 0.9]})), trials=7, pruner="halving")
    found = records(folder)
    assert [label for label, r in found.items() if r.state == "pruned"] == ["0005"]
    stopped = found["0005"]
    assert stopped.reason == "stopped after epoch 1 by the halving rule"
    assert (len(stopped.epochs), stopped.search_ap["mean"]) == (1, 0.1)
    assert (stopped.ap, stopped.speed, stopped.size_mb) == ({}, {}, 0.0)
    assert not (folder / "trials" / "0005" / "weights.safetensors").exists()
    assert Manifest.load(folder).standing.trials == {"complete": 6, "pruned": 1, "failed": 0, "running": 0, "wanted": 7}
    assert [trial.state.name for trial in trials(folder)] == ["COMPLETE"] * 5 + ["PRUNED", "COMPLETE"]


def test_in_the_last_epoch_nothing_is_stopped(stub: Stub) -> None:
    found = records(stub.study(Plan(ap=rising(7, **{"0005": [0.9, 0.1]})), trials=7, pruner="halving"))
    assert (found["0005"].state, found["0005"].search_ap["mean"]) == ("complete", 0.1)


def test_the_best_has_the_highest_search_ap_and_fewer_parameters_break_a_tie(stub: Stub) -> None:
    folder = stub.study(Plan(ap={f"{n:04d}": [0.9, 0.3 + 0.1 * (n > 2)] for n in range(6)}), trials=6)
    found = records(folder)
    best = min((found[f"{n:04d}"] for n in (3, 4, 5)), key=lambda r: r.params)
    assert Manifest.load(folder).standing.best == best.label
    assert {label for label, r in found.items() if r.ap} == {"v1", "v2", best.label}, "the others are never graded"
    assert (folder / "trials" / best.label / "predictions.npz").exists()
    assert [trial.value for trial in trials(folder)] == [found[f"{n:04d}"].search_ap["mean"] for n in range(6)]


def test_a_better_student_is_graded_when_the_study_continues(stub: Stub) -> None:
    ap = rising(6)
    folder = stub.study(Plan(ap=ap), trials=4)
    plan = Plan(ap=ap)
    stub.study(plan, trials=6)
    assert plan.trained.count("0005") == 2, "trained and then graded"
    assert {label for label, r in records(folder).items() if r.ap} == {"v1", "v2", "0003", "0005"}


def test_what_another_study_has_trained_is_read(stub: Stub) -> None:
    first = stub.study(name="first", trials=3)
    for path in first.glob("trials/*/weights.safetensors"):
        write_checkpoint(path.parent, {"identity": {}, "whose": path.parent.name})
    second = stub.study(name="second", trials=4)
    found = records(second)
    assert {label: r.read_from for label, r in found.items() if label != "v1"} == {
        "v2": "first/v2",
        "0000": "first/0000",
        "0001": "first/0001",
        "0002": "first/0002",
        "0003": "",
    }
    assert read_state(second / "trials" / "0001" / "last.pt", torch.device("cpu"))["whose"] == "0001"
    assert found["0001"].provenance == records(first)["0001"].provenance
    assert any(line.startswith("0001: read from first/0001") for line in stub.lines)


def test_references_and_the_best_student_are_trained_with_several_seeds(stub: Stub) -> None:
    references = ("v2", "v2-alone")
    folder = stub.study(trials=2, references=references)
    first = outcome(folder)
    stub.study(trials=2, references=references, seeds=2, resources={"command": "seeds"})
    after = outcome(folder)
    assert {label: after[label] for label in first} == first, "more seeds leave what was trained as it is"
    stub.study(trials=2, references=("v2",), resources={"command": "fewer"})
    manifest = Manifest.load(folder)
    assert (manifest.config.seeds, manifest.config.references) == (2, references), "nothing is taken back"
    assert manifest.command == "seeds"
    found, best = records(folder), manifest.standing.best
    assert best is not None
    assert set(after) - set(first) == {"v2-s2", "v2-alone-s2", f"{best}-s2"}
    for name in ("v2", "v2-s2"):
        taught, alone = found[name], found[name.replace("v2", "v2-alone")]
        assert (taught.seed, taught.arch) == (alone.seed, alone.arch)
        assert taught.teacher["label"] == "v1"
        assert taught.distill["alpha"] == 0.7
        assert (alone.teacher, alone.distill) == ({}, {})
    assert found["v2"].seed != found["v2-s2"].seed
    repeat, chosen = found[f"{best}-s2"], found[best]
    assert (repeat.role, repeat.repeat_of, repeat.number) == ("repeat", best, None)
    assert (repeat.arch, repeat.distill) == (chosen.arch, chosen.distill)
    assert chosen.seed == found["v2"].seed
    assert repeat.seed == found["v2-s2"].seed
    assert all(found[label].ap for label in ("v2-s2", "v2-alone-s2", f"{best}-s2"))


def test_references_alone_with_another_teacher_and_start(stub: Stub, tmp_path: Path) -> None:
    """A second teacher is compared on the references only; every student starts from the same backbone."""
    start, weights = tmp_path / "start.safetensors", tmp_path / "wide.safetensors"
    save_weights(build(ARCHS["v2"]), start)
    save_weights(build(ARCHS["v2_as_written"]), weights)
    given = {"teacher": f"v2_as_written:{weights}", "init_backbone": start}
    folder = stub.study(trials=0, resources=given)
    found = records(folder)
    assert list(found) == ["v2_as_written", "v2"]
    assert found["v2"].teacher["label"] == "v2_as_written"
    manifest = Manifest.load(folder)
    assert (manifest.teacher.label, manifest.start.kind, manifest.standing.best) == ("v2_as_written", "file", None)
    with pytest.raises(InputError, match=r"start of the backbones file .*, not teacher"):
        stub.study(trials=0, resources={"teacher": given["teacher"]})


def test_students_start_from_the_backbone_of_a_teacher_that_was_trained(stub: Stub, tmp_path: Path) -> None:
    """``--init-backbone`` is where V1 starts; its students start from V1."""
    start, plan = tmp_path / "start.safetensors", Plan()
    save_weights(build(ARCHS["v2"]), start)
    manifest = Manifest.load(stub.study(plan, trials=0, resources={"init_backbone": start}))
    assert (manifest.start.kind, manifest.start.digest) == ("teacher", manifest.teacher.digest)
    begun = plan.jobs["v2"].init_backbone
    assert begun is not None
    assert file_digest(begun) == manifest.teacher.digest != file_digest(start)


def test_a_candidate_is_trained_by_the_schedule_that_its_axes_set(stub: Stub) -> None:
    """References have the study's schedule; a candidate's record and job have its own."""
    plan = Plan()
    folder = stub.study(plan, space="recipe", budget=Budget(max_params=256_156), trials=3)
    found = records(folder)
    assert TrainConfig(**found["v2"].train) == QUICK.train
    for record in (record for record in found.values() if record.role == "candidate"):
        axes = {name.removeprefix("train."): value for name, value in record.configuration.items()}
        assert len(axes) == 9
        assert record.train == {**asdict(QUICK.train), **axes}
        assert plan.jobs[record.label].train == TrainConfig(**record.train)
    assert len({digest(record.train) for record in found.values()}) == 4


def test_epochs_without_an_evaluation_prune_nothing(stub: Stub) -> None:
    """Halving judges after epochs 1, 2 and 4; of a schedule that is evaluated every third, it sees 3 and the last."""
    schedule = replace(QUICK.train, epochs=4, evaluate_every=3)
    folder = stub.study(Plan(), pruner="halving", trials=6, train=schedule)
    for trial, record in zip(trials(folder), list(records(folder).values())[-6:], strict=True):
        assert [bool(info["ap"]) for info in record.epochs] == [False, False, True, True][: len(record.epochs)]
        assert list(trial.intermediate_values) == [3, 4][: len(trial.intermediate_values)]
        assert len(record.epochs) >= 3


def test_the_manifest_says_what_is_searched(stub: Stub) -> None:
    folder = stub.study()
    manifest, space = Manifest.load(folder), load_space("v2_light")
    assert (manifest.space.digest, manifest.space.size) == (space.digest(), space.size())
    assert manifest.space.feasible == SpaceCounts(space).feasible(Budget())
    assert {split: images.images for split, images in manifest.data.items()} == {"train": 32, "search": 24, "val": 24}
    assert manifest.standing.proposals == {"uniform": 4}
    assert (manifest.standing.wasted, manifest.standing.repeated) == (0, 0)
    assert manifest.search_protocol["digest"] != manifest.protocol["digest"]
    for record in records(folder).values():
        assert record.protocol["digest"] == manifest.protocol["digest"]
        assert record.search_protocol["digest"] == manifest.search_protocol["digest"]
    with np.load(folder / "examples.npz", allow_pickle=False) as examples:
        assert {f"found_{label}_0" for label in ("v1", "v2", manifest.standing.best)} <= set(examples)
        assert examples["image_0"].dtype == np.uint8


def test_a_search_ends_when_every_configuration_that_fits_was_tried(stub: Stub) -> None:
    space = load_space("v1_to_v2")
    totals = sorted(filter(None, map(SpaceCounts(space).total, space.enumerate())))
    fit = sum(total <= totals[2] for total in totals)
    found = Manifest.load(stub.study(trials=9, space="v1_to_v2", budget=Budget(totals[2]))).standing.trials
    assert (found["complete"], found["wanted"]) == (fit, fit)
    assert f"all {fit} configurations that fit the budget were tried" in stub.lines
