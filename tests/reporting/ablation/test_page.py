"""The report of an ablation: planted effects, refusals, and the files that it writes."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from harness.core.ablation import Ablation
from harness.data.faces import FaceSet
from harness.errors import InputError
from harness.evaluation.contrasts import BETTER, TIE, WORSE
from harness.reporting import build_report, publish_report, summary, terminal_table
from harness.reporting.ablation import load, tables
from harness.reporting.ablation.data import AblationData
from harness.reporting.ablation.findings import headline
from harness.reporting.ablation.hypotheses import REFUTED, SUPPORTED, UNDECIDED, judged
from harness.search import designs
from tests.fake_ablation import SKILL, change, write_ablation
from tests.fake_comparison import write_images

pytestmark = pytest.mark.slow

LADDER = Ablation("ladder", *designs.ladder(), (3,))
WITH_NECK = [arm.label for arm in LADDER.arms if arm.label != "v1-arm" and arm.arch.neck.name == "bifpn_light"]
SKILLS = dict.fromkeys(WITH_NECK, 0.3)
"""V2's neck costs AP; nothing else changes any."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def faces(runs: Path) -> FaceSet:
    return write_images(runs, 60)


@pytest.fixture(scope="module")
def folder(runs: Path, faces: FaceSet) -> Path:
    return write_ablation(runs, faces, LADDER, SKILLS)


@pytest.fixture(scope="module")
def data(folder: Path) -> AblationData:
    return load(folder)


def test_the_planted_effect_is_found_and_no_other(data: AblationData) -> None:
    assert {part: one.verdict for part, one in data.parts.items()} == {
        "attention": TIE,
        "neck": WORSE,
        "context": TIE,
        "shuffle": TIE,
        "head": TIE,
    }
    said = {(one.a, one.b): measured.verdict for one, measured in data.differences}
    assert len(said) == 11
    shown = {pair for pair, verdict in said.items() if verdict != TIE}
    assert shown == {
        ("v1-with-attention-neck", "v1-with-attention"),
        ("v1-with-neck-head", "v1-with-head"),
        ("v2-arm", "v1-arm"),
    }
    assert {said[pair] for pair in shown} == {WORSE}


def test_the_parts_add_up_to_the_whole(data: AblationData) -> None:
    whole = next(measured for one, measured in data.differences if one.change == "all five")
    assert sum(one.estimate.value for one in data.parts.values()) == pytest.approx(whole.estimate.value)
    assert sum(one.ap.value["hard"] or 0 for one in data.parts.values()) == pytest.approx(whole.ap.value["hard"])
    v1, v2 = (sum(data.latencies[label]) / 3 for label in ("v1-arm", "v2-arm"))
    assert sum(one.value for one in data.latency_parts.values()) == pytest.approx(v2 - v1)
    assert data.orders == 2


def test_no_network_is_called_best_inside_a_tie(data: AblationData) -> None:
    assert data.highest is not None
    top, tied = data.highest
    without = {arm.label for arm in LADDER.arms} - set(WITH_NECK)
    assert {top, *tied} == without
    assert f"{top} has the highest measured mean AP" in headline(data)
    assert "ties with 2 other networks" in headline(data)


def test_the_command_line_gets_what_scripts_rely_on(folder: Path) -> None:
    found = summary(folder)
    assert found["arms"][0].keys() >= {"label", "params", "ap", "seeds"}
    assert (found["arms"][0]["label"], found["arms"][0]["params"], found["arms"][0]["seeds"]) == ("v1-arm", 487_103, 3)
    assert found["arms"][0]["ap"].keys() == {"mean", "std"}
    assert found["differences"][0].keys() >= {"a", "b", "mean", "low", "high", "verdict"}
    assert found["shapley"]["params"] == {
        "attention": 2_210.5,
        "neck": -212_565.5,
        "context": -21_648,
        "shuffle": 1_056,
        "head": 0,
    }
    assert found["report"] == str(folder / "report" / "report.md")
    json.dumps(found, allow_nan=False)


def test_the_report_has_tables_and_pictures_and_equal_bytes(folder: Path) -> None:
    report = build_report(folder)
    files = {path.relative_to(report.parent): path.read_bytes() for path in report.parent.rglob("*") if path.is_file()}
    names = {str(path) for path in files}
    assert names >= {"report.md", "results.csv", "summary.json", "waterfall.png", "waterfall.svg", "differences.svg"}
    for table in ("parts", "differences", "networks", "combinations"):
        assert names >= {f"tables/{table}.md", f"tables/{table}.csv", f"tables/{table}.tex"}
    text = report.read_text(encoding="utf-8")
    assert "**neck**: −212,565.5 parameters" in text
    assert "It saves parameters at the price of AP." in text
    loss = -100 * load(folder).parts["context"].estimate.least(5)
    assert f"no loss is shown, but one of up to {loss:.1f} points is not excluded" in text
    assert "| all five | −230,947 |" in text
    assert "12 of the 32 combinations cannot be built" in text
    assert text.index("## Which of the five changes pays") < 1_500, "findings come first"
    latex = files[Path("tables/parts.tex")].decode()
    assert "\\toprule" in latex
    assert "$-$230,947" in latex
    assert "−" not in latex
    build_report(folder)
    assert files == {
        path.relative_to(report.parent): path.read_bytes() for path in report.parent.rglob("*") if path.is_file()
    }


def test_a_published_report_has_no_paths(folder: Path, tmp_path: Path) -> None:
    report = publish_report(folder, tmp_path, "A note.")
    text = "".join(path.read_text(encoding="utf-8") for path in report.parent.glob("*.[mj]*"))
    assert str(folder.parent) not in text
    assert "**A note.**" in text
    assert "python -m harness.report ablation-fake --publish --note 'A note.'" in text
    publish_report(folder, tmp_path)
    (report.parent / "summary.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="no ablation's report"):
        publish_report(folder, tmp_path)
    with pytest.raises(InputError, match="publish it without --weights"):
        publish_report(folder, tmp_path, weights=True)


@pytest.mark.parametrize(
    ("label", "values", "words"),
    [
        ("v2-arm-s2", {"train": {"epochs": 99}}, "epochs 99 instead of 12"),
        ("v1-with-head", {"seed": 77}, "seed 77 instead of 1"),
        ("v2-arm", {"distill": {"alpha": 0.7}, "teacher": {"digest": "abc"}}, "distill.alpha 0.7 instead of missing"),
        ("v2-arm", {"protocol": {"digest": "other", "images": 3}}, "another protocol than the study: .*images 3"),
    ],
)
def test_an_unfair_comparison_is_refused(
    runs: Path, faces: FaceSet, label: str, values: dict[str, dict[str, object]], words: str
) -> None:
    folder = write_ablation(runs, faces, LADDER, {}, name="ablation-unfair")
    schedule = load_schedule(folder)
    train = values.get("train")
    change(folder, label, **{**values, **({"train": schedule | train} if train else {})})
    with pytest.raises(InputError, match=words):
        build_report(folder)


def load_schedule(folder: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "trials/v1-arm/record.json").read_text(encoding="utf-8"))["train"]
    return found


def test_an_unfinished_ablation_says_so(runs: Path, faces: FaceSet) -> None:
    folder = write_ablation(runs, faces, LADDER, SKILLS, name="ablation-begun")
    for label in ("v2-arm", "v2-arm-s2", "v1-with-neck-head-s3"):
        change(folder, label, state="running", ap={})
    found = load(folder)
    assert found.seeds(["v2-arm"]) == found.seeds(["v1-with-neck-head"]) == 0
    assert len(found.differences) == 6
    assert found.parts == {}, "no order is complete"
    text = build_report(folder).read_text(encoding="utf-8")
    assert "**Unfinished: 26 of 30 trainings are complete.**" in text
    assert "5 differences cannot be estimated yet" in text
    assert terminal_table(folder).row_count == 10
    for arm in LADDER.arms:
        for suffix in ("", "-s2", "-s3"):
            change(folder, f"{arm.label}{suffix}", state="running", ap={})
    text = build_report(folder).read_text(encoding="utf-8")
    assert "**Unfinished: 0 of 30 trainings are complete.**" in text
    assert "487,103" in text, "the counts need no training"


CLAIMS = Ablation("hypotheses", *designs.hypotheses(["cbam_plus", "bifpn_light", "channels_32", "shared_heads"]), (3,))


def test_the_claims_are_judged(runs: Path, faces: FaceSet) -> None:
    skills = {"v1-with-neck": 0.3, "v2-neck-channels-48": 0.2, "v2-neck-channels-64": 0.25, "v2-head-trunk-conv": 0.62}
    found = judged(load(write_ablation(runs, faces, CLAIMS, skills, name="ablation-claims")))
    assert {one.hypothesis.name: one.verdict for one in found} == {
        "cbam_plus": UNDECIDED,
        "bifpn_light": REFUTED,
        "channels_32": SUPPORTED,
        "shared_heads": UNDECIDED,
    }
    limits = {one.hypothesis.name: one.effects[0].limit for one in found}
    assert limits["channels_32"] == limits["shared_heads"] == -0.01
    assert -0.05 < limits["cbam_plus"] < -0.02, "5 % of V1's AP"


def test_a_limit_is_a_share_of_the_ap_that_is_compared(runs: Path, faces: FaceSet) -> None:
    """V1 has further seeds, which the other network has not."""
    claims = Ablation("hypotheses", *designs.hypotheses(["cbam_plus"]), (2,))
    found = load(write_ablation(runs, faces, claims, {"v1-with-attention": 0.3}, name="ablation-limit"))
    new, v1 = found.members["v1-with-attention"], found.members["v1-arm"]
    seen = replace(
        found,
        ablation=replace(claims, looks=(2, 4)),
        members={"v1-with-attention": new, "v1-arm": [*v1, *new]},
    )
    (one,) = judged(seen)
    assert one.effects[0].limit == pytest.approx(-0.05 * sum(found.aps["v1-arm"]) / 2)


def test_one_network_that_is_better_refutes_an_optimum(runs: Path, faces: FaceSet) -> None:
    claims = Ablation("hypotheses", *designs.hypotheses(["groups_4"]), (3,))
    folder = write_ablation(runs, faces, claims, {"v2-context-groups-8": 0.95}, name="ablation-groups")
    (one,) = judged(load(folder))
    assert one.verdict == REFUTED
    assert [effect.enough for effect in one.effects][2] is False
    text = build_report(folder).read_text(encoding="utf-8")
    assert "“4 groups optimal” (Knowledge Distillation Strategy): **refuted**" in text
    assert "form no such order" in text
    assert "v2-arm is worse than v2-context-groups-8 (groups_4)" in text


def test_the_highest_network_is_that_of_the_table(runs: Path, faces: FaceSet) -> None:
    """With further seeds, it has the highest mean of all of them, not of the first ones."""
    claims = Ablation("hypotheses", *designs.hypotheses(["groups_4"]), (2,))
    low, middle, high, last = (arm.label for arm in claims.arms)
    skills = {low: 0.3, middle: 0.6, high: 0.9, last: 0.1}
    found = load(write_ablation(runs, faces, claims, skills, name="ablation-seeds"))
    falling = [*found.members[high], *found.members[low]]
    level = [*found.members[middle], *found.members[middle]]
    seen = replace(
        found,
        ablation=replace(claims, looks=(2, 4)),
        members={low: found.members[low], middle: level, high: falling, last: found.members[last]},
    )
    means = {label: sum(aps) / len(aps) for label, aps in seen.aps.items()}
    assert seen.highest is not None
    assert seen.highest[0] == max(means, key=lambda label: means[label]) == middle
    assert f"{middle} has the highest" in headline(seen)


def test_exact_numbers_are_printed_in_full() -> None:
    assert tables.number(Fraction(-425131, 2)) == "−212,565.5"
    assert tables.number(Fraction(1056)) == "+1,056"


def test_a_better_network_is_said_to_be_better(runs: Path, faces: FaceSet) -> None:
    claims = Ablation("hypotheses", *designs.hypotheses(["groups_4"]), (3,))
    labels = [f"v2-context-groups-{groups}" for groups in (1, 2, 8)]
    folder = write_ablation(runs, faces, claims, dict.fromkeys(labels, SKILL - 0.4), name="ablation-best")
    found = load(folder)
    assert {measured.verdict for _, measured in found.differences} == {BETTER}
    assert "v2-arm has the highest mean AP" in headline(found)
    assert replace(found.ablation, looks=(2,)).reached(1) == 0
