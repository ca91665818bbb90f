"""An ablation as a study: which trainings run, also after interruptions, and in which order they may end."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.ablation import Ablation
from harness.core.manifest import Manifest
from harness.errors import InputError
from harness.search import designs
from harness.search.outlook import outlook
from harness.search.resources import Resources
from harness.training.checkpoint import write_checkpoint
from tests.search.stub import QUICK, Plan, Stub, outcome, records

pytestmark = pytest.mark.slow

LADDER = Ablation("ladder", *designs.ladder(), (2,))
LABELS = [arm.label for arm in LADDER.arms]
STUDY: dict[str, Any] = {"name": "ablation-test", "trials": 0, "references": (), "ablation": LADDER}


def seeds(folder: Path) -> dict[str, list[int]]:
    """Return network → numbers of its complete trainings."""
    found: dict[str, list[int]] = {}
    for record in records(folder).values():
        if record.role != "teacher" and record.state == "complete":
            found.setdefault(record.repeat_of or record.label, []).append(record.training_number)
    return {label: sorted(numbers) for label, numbers in found.items()}


def test_every_network_is_trained_with_the_same_seeds_and_graded(stub: Stub) -> None:
    plan = Plan()
    folder = stub.study(plan, **STUDY)
    assert seeds(folder) == {label: [1, 2] for label in LABELS}
    found = records(folder)
    assert len({r.seed for r in found.values() if r.role != "teacher" and not r.repeat_of}) == 1
    assert len({r.seed for r in found.values() if r.repeat_of}) == 1
    assert all(r.ap for r in found.values())
    assert found["v1-arm"].arch == LADDER.arms[0].arch.to_dict()
    assert sorted(plan.trained) == sorted([*LABELS, *(f"{label}-s2" for label in LABELS)])
    assert any("20 of 20 trainings" in line for line in stub.lines)


def test_the_study_survives_its_file(stub: Stub) -> None:
    folder = stub.study(**STUDY)
    assert Manifest.load(folder).config.ablation == LADDER


@pytest.mark.parametrize("interrupt", [0, 3, 17, 40, 58])
def test_after_an_interruption_nothing_is_trained_twice(stub: Stub, interrupt: int) -> None:
    """Whatever had ended is not started again, and the outcome is that of one run."""
    whole = outcome(stub.study(**STUDY | {"name": "whole"}))
    first = Plan(interrupt=interrupt)
    with pytest.raises(KeyboardInterrupt):
        stub.study(first, **STUDY)
    ended = {label for label, r in records(stub.runs / "ablation-test").items() if r.state == "complete"}
    second = Plan(order=1)
    folder = stub.study(second, workers=3, **STUDY)
    assert not ended & set(second.trained)
    assert len(second.trained) == len(set(second.trained)) == 20 - len(ended - {"v1"})
    assert outcome(folder) == whole


def planned_aps(label: str, values: list[float]) -> dict[str, list[float]]:
    return {label if n == 1 else f"{label}-s{n}": [0.0, value] for n, value in enumerate(values, start=1)}


OPEN = Ablation("hypotheses", *designs.hypotheses(["groups_4"]), (2, 4))
"""V2 against 1, 2 and 8 groups."""

APS = planned_aps("v2-arm", [0.50, 0.52, 0.51, 0.50])
APS |= planned_aps("v2-context-groups-1", [0.80, 0.82, 0.81, 0.80])
APS |= planned_aps("v2-context-groups-2", [0.21, 0.22, 0.20, 0.21])
APS |= planned_aps("v2-context-groups-8", [0.51, 0.51, 0.53, 0.50])


@pytest.mark.parametrize("interrupt", [None, 5, 16, 25, 30])
def test_more_seeds_go_to_the_undecided(stub: Stub, interrupt: int | None) -> None:
    config = STUDY | {"ablation": OPEN}
    if interrupt is not None:
        with pytest.raises(KeyboardInterrupt):
            stub.study(Plan(ap=dict(APS), interrupt=interrupt), **config)
    folder = stub.study(Plan(ap=dict(APS), order=2), **config)
    assert seeds(folder) == {
        "v2-arm": [1, 2, 3, 4],
        "v2-context-groups-1": [1, 2],
        "v2-context-groups-2": [1, 2],
        "v2-context-groups-8": [1, 2, 3, 4],
    }


def test_what_another_ablation_has_trained_is_read(stub: Stub) -> None:
    first = stub.study(**STUDY)
    for path in first.glob("trials/*/weights.safetensors"):
        write_checkpoint(path.parent, {"identity": {"label": path.parent.name}})
    leave = Ablation("leave-one-out", *designs.leave_one_out(), (2,))
    found = records(stub.study(**STUDY | {"name": "ablation-other", "ablation": leave}))
    read = {label: record.read_from for label, record in found.items() if not record.repeat_of and label != "v1"}
    assert read == {
        "v2-arm": "ablation-test/v2-arm",
        "v2-without-attention": "ablation-test/v2-without-attention",
        "v2-without-neck": "",
        "v2-without-context": "",
        "v2-without-shuffle": "",
        "v2-without-head": "ablation-test/v2-without-head",
    }


def test_a_plan_knows_what_runs_has(stub: Stub) -> None:
    """Nothing before the teacher is there, then every training of the ladder; another design finds the shared ones."""
    resources = Resources(runs=stub.runs, workers=2, threads=1, tracking_uri="none")
    config = replace(QUICK, **STUDY)
    before = outlook(config, LADDER, resources)
    assert (before.trainings, before.known, before.most) == (20, 0, 20)
    assert before.teacher_seconds > 0
    folder = stub.study(**STUDY)
    for path in folder.glob("trials/*/weights.safetensors"):
        write_checkpoint(path.parent, {"identity": {"label": path.parent.name}})
    after = outlook(config, LADDER, resources)
    assert (after.trainings, after.known, after.hours) == (20, 20, 0.0)
    leave = Ablation("leave-one-out", *designs.leave_one_out(), (3,))
    other = outlook(replace(config, name="ablation-other", ablation=leave), leave, resources)
    known = {arm.label: (arm.seeds, arm.known) for arm in other.arms}
    assert known["v2-arm"] == known["v2-without-head"] == (3, 2)
    assert known["v2-without-neck"] == (3, 0)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Ablation("ladder", *designs.ladder(), (2, 4)), "seeds of the looks 2, not 2,4"),
        (Ablation("leave-one-out", *designs.leave_one_out(), (2,)), "networks .*differences"),
    ],
)
def test_what_is_compared_cannot_change(stub: Stub, other: Ablation, words: str) -> None:
    stub.study(**STUDY)
    with pytest.raises(InputError, match=words):
        stub.study(**STUDY | {"ablation": other})


def test_a_study_from_before_ablations_continues(stub: Stub) -> None:
    folder = stub.study(name="before", trials=1)
    content = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    del content["digest"]
    del content["config"]["ablation"]
    for key in ("networks", "differences", "seeds of the looks"):
        del content["identity"][key]
    (folder / "study.json").write_text(json.dumps(content), encoding="utf-8")
    stub.study(name="before", trials=2)
    assert Manifest.load(folder).standing.trials["complete"] == 2


def test_an_ablation_is_not_continued_as_a_search(stub: Stub) -> None:
    stub.study(**STUDY)
    with pytest.raises(InputError, match=r"networks .*, not None"):
        stub.study(**STUDY | {"ablation": None, "references": ("v2",)})
