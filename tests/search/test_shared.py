"""A study that scores its candidates with shared weights and trains the best of them to the end."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.core.arch import ARCHS, in_stages
from harness.core.manifest import Manifest
from harness.core.names import load_space
from harness.core.scores import FILE, SHORTLIST, Scored, load_scores
from harness.core.training import SharingConfig, TrainConfig
from harness.counting import SpaceCounts
from harness.errors import HarnessError, InputError
from harness.evaluation.fronts import hypervolume
from harness.reporting.study.page import build_report, summary
from harness.search.plan import INITIAL
from harness.search.shortlist import differing
from tests.search.stub import Plan, Stub, outcome, records, trials

pytestmark = pytest.mark.slow

SHARING = SharingConfig(TrainConfig(epochs=2, batch=8), shortlist=5, apart=2, finalists=3)
STUDY: dict[str, Any] = {"space": "architectures", "trials": 10, "sharing": SHARING, "seeds": 2}


def best(folder: Path, number: int, name: str = SHORTLIST) -> list[str]:
    scores = load_scores(folder, name)
    return [f"{n:04d}" for n in sorted(scores, key=lambda n: -(scores[n].ap["mean"] or 0))[:number]]


def test_the_best_of_the_short_list_are_trained_from_their_slices(stub: Stub) -> None:
    plan = Plan()
    folder = stub.study(plan, **STUDY)
    found, standing = records(folder), Manifest.load(folder).standing
    finalists = {label: r for label, r in found.items() if r.role == "candidate"}
    assert set(finalists) == set(best(folder, 3))
    assert (standing.scored, standing.trials["complete"], standing.trials["wanted"]) == (10, 3, 3)
    assert (standing.wasted, standing.repeated) == (0, 0)
    assert [trial.value for trial in trials(folder)] == [load_scores(folder)[n].ap["mean"] for n in range(10)]
    for label, record in finalists.items():
        assert record.configuration == load_scores(folder)[int(label)].configuration
        assert record.inherits
        assert plan.jobs[label].initial == folder / "trials" / label / INITIAL
    assert standing.best == max(finalists, key=lambda label: finalists[label].search_ap["mean"] or 0)
    assert plan.jobs[f"{standing.best}-s2"].initial == folder / "trials" / standing.best / INITIAL
    assert plan.trained.count("shared weights") == 1


def test_the_short_list_is_trained_for_an_epoch_from_its_slices(stub: Stub) -> None:
    plan = Plan()
    folder = stub.study(plan, **STUDY)
    listed = load_scores(folder, SHORTLIST)
    assert {f"{number:04d}" for number in listed} == set(plan.looks)
    assert len(listed) == 5
    for label, job in plan.looks.items():
        own = folder / "shortlist" / label
        assert (job.training.folder, job.training.initial, job.slices.keep) == (own, own / INITIAL, own / INITIAL)
        assert (job.training.train.epochs, job.training.train.evaluates(1)) == (1, True)
        assert job.slices.arch == job.training.arch


def test_the_short_list_has_the_best_scores_that_differ() -> None:
    def one(number: int, **values: int) -> Scored:
        return Scored(number, values, 0)

    ranked = [one(0, a=1, b=1), one(1, a=1, b=2), one(2, a=1, b=1, c=1), one(3, a=2, b=2), one(4, a=2, b=1, c=1)]
    assert [s.number for s in differing(ranked, 2, 1)] == [0, 1]
    assert [s.number for s in differing(ranked, 2, 2)] == [0, 3]
    assert [s.number for s in differing(ranked, 3, 2)] == [0, 3, 4], "an option that only one has counts"
    assert [s.number for s in differing(ranked, 4, 2)] == [0, 3, 4, 1], "the best of the others are added"


def test_without_a_short_list_the_highest_scores_are_trained(stub: Stub) -> None:
    folder = stub.study(**STUDY | {"sharing": replace(SHARING, shortlist=0)})
    assert {label for label, r in records(folder).items() if r.role == "candidate"} == set(best(folder, 3, FILE))
    assert not load_scores(folder, SHORTLIST)


def test_a_failed_epoch_is_kept_with_its_reason_and_a_killed_one_is_repeated(stub: Stub) -> None:
    first = best(stub.study(**STUDY, name="first"), 2)
    fail: dict[tuple[str, int], Exception | str] = {(first[0], -1): ValueError("no"), (first[1], -1): "killed"}
    folder = stub.study(Plan(fail=fail), **STUDY)
    assert load_scores(folder, SHORTLIST)[int(first[0])].reason == "no"
    assert first[0] not in records(folder)
    assert first[1] in records(folder)
    assert f"{first[1]}: killed; it is run again" in stub.lines


def test_the_report_has_every_score_beside_the_finalists(stub: Stub) -> None:
    folder = stub.study(**STUDY)
    text = build_report(folder).read_text(encoding="utf-8")
    scores = pd.read_csv(folder / "report" / "scores.csv")
    assert scores["number"].tolist() == list(range(10))
    assert scores["score_mean"].tolist() == [load_scores(folder)[n].ap["mean"] for n in range(10)]
    assert scores["epoch_mean"].count() == 5
    assert (
        "10 students of 10 were scored by shared weights, and 5 with high scores that differ were trained for" in text
    )
    assert "differs from every better one in at least 2 options" in text
    assert re.search(r"\| short list, an epoch each \| 1.0 \|", text), "five of 0.2 seconds"
    assert "| V2 from slices measured |" in text
    assert "after 64 steps of its own behind the common backbone" in text
    assert re.search(r"\| scores of the candidates \| 1.0 \|", text), "ten scores of 0.1 seconds"
    assert "| training of the shared weights |" in text
    answer = summary(folder)
    assert (answer["scored"], answer["finalists"]) == (10, 3)
    assert answer["v2_from_slices"]["label"] == "v2-shared"


def test_v2_is_trained_from_its_slices_where_the_backbone_is_searched(stub: Stub) -> None:
    """V2's backbone has another name in these spaces, and the same parameters."""
    plan = Plan()
    folder = stub.study(plan, **STUDY | {"space": "v2_p5"})
    found = records(folder)
    assert [label for label in found if label.startswith("v2")] == ["v2", "v2-s2", "v2-shared", "v2-shared-s2"]
    assert found["v2-shared"].arch == in_stages(ARCHS["v2"]).to_dict()
    assert (found["v2"].parts, found["v2"].macs) == (found["v2-shared"].parts, found["v2-shared"].macs)
    assert plan.jobs["v2-shared"].initial == folder / "trials" / "v2-shared" / INITIAL
    outside = records(stub.study(**STUDY | {"space": "v1_slim", "name": "slim"}))
    assert [label for label in outside if label.startswith("v2")] == ["v2", "v2-s2"]


def test_finalists_of_several_objectives_span_the_front_of_the_short_list(stub: Stub) -> None:
    folder = stub.study(**STUDY, objectives=("ap", "params"))
    scores = load_scores(folder, SHORTLIST)
    points = {n: (1 - (s.ap["mean"] or 0), s.params / 256_148) for n, s in scores.items()}
    finalists = {int(label) for label, r in records(folder).items() if r.role == "candidate"}
    assert len(finalists) == 3
    volume = hypervolume(np.array([points[n] for n in sorted(finalists)]), np.ones(2))
    largest = max(
        hypervolume(np.array([points[n] for n in some]), np.ones(2)) for some in itertools.combinations(points, 3)
    )
    assert (1 - 1 / np.e) * largest <= volume <= largest + 1e-12


def test_v2_is_trained_from_its_slices_and_without_them(stub: Stub) -> None:
    plan = Plan()
    folder = stub.study(plan, references=("v2", "v2-alone"), **STUDY)
    found = records(folder)
    inherits = {label: r.inherits for label, r in found.items() if r.role == "reference"}
    assert inherits == {
        "v2": False,
        "v2-s2": False,
        "v2-alone": False,
        "v2-alone-s2": False,
        "v2-shared": True,
        "v2-shared-s2": True,
    }
    assert found["v2"].arch == found["v2-shared"].arch
    assert (found["v2"].seed, found["v2-s2"].seed) == (found["v2-shared"].seed, found["v2-shared-s2"].seed)
    assert plan.jobs["v2"].initial is None
    assert plan.jobs["v2-shared-s2"].initial == folder / "trials" / "v2-shared" / INITIAL


def test_a_reference_outside_the_space_has_no_slices(stub: Stub) -> None:
    assert "v2_as_written-shared" not in records(stub.study(references=("v2_as_written",), **STUDY))


def test_interruptions_and_workers_do_not_change_the_result(stub: Stub) -> None:
    alone = stub.study(name="alone", workers=1, **STUDY)
    folder, done = stub.runs / "stub", list[str]()
    for run in itertools.count():
        plan = Plan(interrupt=4 + run % 5, order=run)
        try:
            stub.study(plan, workers=3, **STUDY)
            break
        except KeyboardInterrupt:
            done += plan.scored
    assert run > 2, "it was interrupted"
    assert outcome(folder) == outcome(alone)
    for name in (FILE, SHORTLIST):
        scores = [{n: (s.configuration, s.ap) for n, s in load_scores(f, name).items()} for f in (folder, alone)]
        assert scores[0] == scores[1]


def test_a_failed_score_is_kept_with_its_reason_and_never_wins(stub: Stub) -> None:
    folder = stub.study(Plan(fail={("0002", 0): ValueError("no such thing")}), **STUDY)
    assert load_scores(folder)[2].reason == "no such thing"
    assert "0002" not in records(folder)


def test_shared_weights_that_diverge_end_the_study(stub: Stub) -> None:
    class Diverging(Plan):
        def share(self, job: Any) -> Any:  # noqa: ARG002
            raise ValueError("not finite")
            yield {}

    with pytest.raises(HarnessError, match="shared weights: not finite"):
        stub.study(Diverging(), **STUDY)
    assert len(load_scores(stub.study(**STUDY))) == 10


def test_scored_candidates_are_not_pruned(stub: Stub) -> None:
    with pytest.raises(
        InputError, match="pruner 'median' stops trainings, but candidates are scored: give --no-sharing"
    ):
        stub.study(**STUDY | {"pruner": "median"})


def test_axes_that_a_score_does_not_see_are_left_out(stub: Stub) -> None:
    folder = stub.study(**STUDY | {"space": "v2_light"})
    study = Manifest.load(folder)
    assert study.space.size == SpaceCounts(load_space("architectures")).size
    assert not any(name.startswith("distill.") for r in records(folder).values() for name in r.configuration)
    assert {r.distill["alpha"] for r in records(folder).values() if r.role == "candidate"} == {0.7}


def test_a_space_without_architectures_is_refused(stub: Stub) -> None:
    with pytest.raises(InputError, match=r"all axes of space 'recipe' change only the training, .*--no-sharing"):
        stub.study(**STUDY | {"space": "recipe"})


def test_scores_that_were_lost_are_made_again_and_altered_ones_refused(stub: Stub) -> None:
    folder = stub.study(**STUDY)
    before, path = outcome(folder), folder / FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]), encoding="utf-8")
    plan = Plan()
    stub.study(plan, **STUDY)
    assert (len(plan.scored), outcome(folder)) == (1, before)
    score = json.loads(lines[3])
    changes: list[tuple[dict[str, Any], str]] = [
        ({"ap": {"mean": 0.99}}, f"the score of trial {score['number']} is not the one in the storage"),
        ({"configuration": {}}, f"the score of trial {score['number']} is not the one in the storage"),
        ({"number": 12}, "has a trial 0012 and its storage only 10 trials"),
        ({"params": "many"}, rf"{FILE}, line 11, is no score: params is 'many', which is not int"),
    ]
    for change, said in changes:
        path.write_text("".join([*lines, json.dumps(score | change) + "\n"]), encoding="utf-8")
        with pytest.raises(InputError, match=said):
            stub.study(**STUDY)
