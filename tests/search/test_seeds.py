"""Further seeds for the networks of undecided differences: who gets them, and the error rate by simulation."""

import gc

import numpy as np
import pytest

from harness.core.ablation import Ablation, Arm, Difference
from harness.core.arch import ARCHS
from harness.core.record import TrialRecord
from harness.evaluation.contrasts import ALPHA, BETTER, TIE, blocks, estimate
from harness.evaluation.contrasts import verdicts as judge
from harness.search import designs
from harness.search.seeds import next_seeds
from tests.evaluation.test_contrasts import SD, table


@pytest.fixture(autouse=True)
def _without_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """statsmodels collects garbage in every correction, which takes most of the time of a simulation."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


LOOKS = (3, 6, 9)


def sequential(effects: list[float], rng: np.random.Generator) -> tuple[dict[str, str], dict[str, int]]:
    """Run an ablation with further seeds on simulated APs; return change → verdict and label → seeds."""
    arms = tuple(Arm(f"n{i}", ARCHS["v2"]) for i in range(len(effects)))
    changes = tuple(Difference(arm.label, "n0", arm.label) for arm in arms[1:])
    ablation = Ablation("test", arms, changes, LOOKS)
    validation = table(effects, LOOKS[-1], rng)
    search = {label: list(np.array(values) + rng.normal(0, SD / 2, LOOKS[-1])) for label, values in validation.items()}
    seeds = dict.fromkeys(validation, LOOKS[0])
    while True:
        records = [record(label, number, search) for label, most in seeds.items() for number in range(1, most + 1)]
        wanted = next_seeds(ablation, records)
        if wanted == seeds:
            break
        seeds = wanted
    noise = blocks([values[: LOOKS[0]] for values in validation.values()])
    assert noise is not None
    found = [
        estimate({one.a: 1.0, one.b: -1.0}, validation, min(seeds[one.a], seeds[one.b]), noise, looks=len(LOOKS))
        for one in changes
    ]
    return {one.change: said for one, said in zip(changes, judge(found), strict=True)}, seeds


def record(label: str, number: int, aps: dict[str, list[float]]) -> TrialRecord:
    name, first = (label, "") if number == 1 else (f"{label}-s{number}", label)
    ap: dict[str, float | None] = {"mean": aps[label][number - 1]}
    return TrialRecord(name, "reference", state="complete", search_ap=ap, repeat_of=first)


def test_further_seeds_keep_the_error_rate() -> None:
    """Equal networks, three looks: the rate of simulations with any better or worse stays below the level."""
    rng = np.random.default_rng(4)
    wrong = [any(said != TIE for said in sequential([0.0] * 4, rng)[0].values()) for _ in range(300)]
    assert np.mean(wrong) <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / 300)


def test_further_seeds_find_what_the_first_ones_do_not() -> None:
    """A difference of two deviations, beside a large one that the first look decides, and three networks like n0."""
    rng, first, last, seeds = np.random.default_rng(5), 0, 0, []
    for _ in range(100):
        effects = [0.0, 2 * SD, 20 * SD, 0.0, 0.0, 0.0]
        said, given = sequential(effects, rng)
        last += said["n1"] == BETTER
        seeds.append(given["n2"])
        aps = table(effects, 3, rng)
        noise = blocks(list(aps.values()))
        assert noise is not None
        few = [estimate({f"n{i}": 1.0, "n0": -1.0}, aps, 3, noise) for i in range(1, 6)]
        first += judge(few)[0] == BETTER
        assert said["n2"] == BETTER
    assert last > first + 20
    assert np.mean(seeds) < 4, "more seeds go where the verdict is open"


def of(*aps: list[float]) -> tuple[Ablation, list[TrialRecord]]:
    """Return an ablation of networks n0, n1, … compared with n0, and the records of their trainings."""
    arms = tuple(Arm(f"n{i}", ARCHS["v2"]) for i in range(len(aps)))
    changes = tuple(Difference(arm.label, "n0", arm.label) for arm in arms[1:])
    known = {f"n{i}": values for i, values in enumerate(aps)}
    records = [record(label, number, known) for label, values in known.items() for number in range(1, len(values) + 1)]
    return Ablation("test", arms, changes, LOOKS), records


def test_the_networks_of_open_differences_get_more_seeds() -> None:
    ablation, records = of([0.50, 0.52, 0.51], [0.51, 0.55, 0.50], [0.90, 0.92, 0.91])
    assert next_seeds(ablation, records) == {"n0": 6, "n1": 6, "n2": 3}


def test_a_difference_that_is_surely_small_gets_none() -> None:
    ablation, records = of([0.500, 0.520, 0.510], [0.5001, 0.5199, 0.5101], [0.4999, 0.5202, 0.5099])
    assert next_seeds(ablation, records) == {"n0": 3, "n1": 3, "n2": 3}


def test_before_the_first_look_is_complete_nothing_is_decided() -> None:
    ablation, records = of([0.50, 0.52, 0.51], [0.51, 0.55], [0.90])
    assert next_seeds(ablation, records) == {"n0": 3, "n1": 3, "n2": 3}


def test_a_look_counts_once_all_its_trainings_have_ended() -> None:
    """Interrupted in the second look, whose complete trainings would already close n2's difference and not n1's."""
    one, other, last = [0.50, 0.52, 0.51] * 2, [0.51, 0.55, 0.50, 0.51, 0.54, 0.50], [0.52, 0.52, 0.50, 0.53]
    ablation, records = of(one, other, last)
    assert next_seeds(ablation, records) == {"n0": 6, "n1": 6, "n2": 6}
    ablation, records = of(one, other, [*last, 0.52, 0.50])
    assert next_seeds(ablation, records) == {"n0": 9, "n1": 9, "n2": 9}


def test_a_network_whose_training_failed_gets_no_more() -> None:
    ablation, records = of([0.50, 0.52, 0.51], [0.51, 0.55, 0.50], [0.51, 0.52, 0.50])
    records[4].state = "failed"
    assert next_seeds(ablation, records) == {"n0": 6, "n1": 3, "n2": 6}


@pytest.mark.parametrize(("shift", "seeds"), [(-0.10, 3), (-0.028, 6), (0.05, 3)])
def test_a_claim_is_open_near_its_own_limit(shift: float, seeds: int) -> None:
    """CBAM_Plus keeps 95 % of an AP of 50 %: a loss of 2.5 points is the limit, whatever is known about no loss."""
    v1 = [0.500, 0.501, 0.500]
    ablation = Ablation("hypotheses", *designs.hypotheses(["cbam_plus"]), LOOKS)
    known = {"v1-arm": v1, "v1-with-attention": [ap + shift + rest for ap, rest in zip(v1, (0, 3e-3, 0), strict=True)]}
    records = [record(label, number, known) for label in known for number in (1, 2, 3)]
    assert next_seeds(ablation, records) == dict.fromkeys(known, seeds)
