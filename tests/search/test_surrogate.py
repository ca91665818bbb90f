"""The surrogate: exact on the table, cross-validated without leakage, with the noise that was planted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from harness.core.names import load_space
from harness.core.table import Table
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.search.candidates import identity
from harness.search.encoding import Encoding, Floats
from harness.search.surrogate import FOLDS, SURROGATE, TABLE, Errors, Model, Noise, Surrogate, folds, held_out
from tests import fake_table
from tests.fake_table import EPOCHS, SMALL


@pytest.fixture(scope="module")
def table() -> Table:
    return fake_table.table(SMALL, networks=40)


@pytest.fixture(scope="module")
def surrogate(table: Table) -> Surrogate:
    return Surrogate(table, SMALL)


def rows_of(table: Table) -> tuple[Floats, Floats]:
    rows = Encoding(SMALL, table.config.speed.size).rows(network.configuration for network in table.networks)
    return rows, np.array([np.mean(list(network.aps.values()), axis=0) for network in table.networks])


def test_a_configuration_of_the_table_has_the_mean_of_its_trainings(table: Table, surrogate: Surrogate) -> None:
    for network in table.networks:
        answer = surrogate.answer(network.configuration)
        assert answer.source == TABLE
        assert answer.aps.tolist() == np.mean([one.aps or [] for one in network.trainings], axis=0).tolist()


def test_every_other_configuration_has_an_answer_of_the_surrogate() -> None:
    surrogate = Surrogate(fake_table.table(SMALL, networks=60, noise=0.002), SMALL)
    others = [c for c in SMALL.enumerate() if identity(c) not in surrogate.known]
    answers = surrogate.answers(others)
    assert len(answers) == SMALL.size() - len(surrogate.known)
    assert {answer.source for answer in answers} == {SURROGATE}
    assert {answer.aps.shape for answer in answers} == {(EPOCHS,)}
    wanted = np.array([fake_table.gentle(configuration) for configuration in others])
    found = np.array([answer.aps[-1] for answer in answers])
    assert np.corrcoef(wanted, found)[0, 1] > 0.9
    assert np.abs(wanted - found).mean() < 0.01
    assert surrogate.answer(others[7]).aps == pytest.approx(answers[7].aps)


def test_the_aps_of_earlier_epochs_are_those_of_the_table(surrogate: Surrogate) -> None:
    """Planted APs rise in proportion to the epoch."""
    other = next(c for c in SMALL.enumerate() if identity(c) not in surrogate.known)
    aps = surrogate.answer(other).aps
    assert aps / aps[-1] == pytest.approx(np.arange(1, EPOCHS + 1) / EPOCHS, rel=0.02)


def test_the_cross_validation_is_that_of_a_plain_loop(table: Table, surrogate: Surrogate) -> None:
    rows, aps = rows_of(table)
    predicted = np.zeros(len(rows))
    parts = folds(len(rows))
    assert len(parts) == FOLDS
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(rows)))
    for part in parts:
        rest = [index for index in range(len(rows)) if index not in set(part.tolist())]
        predicted[part] = Model(rows[rest], aps[rest]).predict(rows[part])[:, -1]
    measured = aps[:, -1]
    errors = surrogate.errors
    assert errors.networks == 40
    assert errors.mae == pytest.approx(np.mean(np.abs(predicted - measured)))
    assert errors.r2 == pytest.approx(
        1 - np.sum((predicted - measured) ** 2) / np.sum((measured - measured.mean()) ** 2)
    )
    assert errors.tau == pytest.approx(kendalltau(predicted, measured).statistic)
    assert errors.rmse == pytest.approx(np.sqrt(np.mean((predicted - measured) ** 2)))


def test_a_prediction_does_not_depend_on_the_ap_that_it_is_compared_with(table: Table) -> None:
    rows, aps = rows_of(table)
    fold = folds(len(rows))[0]
    changed = aps.copy()
    changed[fold] = 0.0
    assert held_out(rows, changed)[fold].tolist() == held_out(rows, aps)[fold].tolist()


def test_errors_of_perfect_and_of_constant_aps() -> None:
    aps = np.array([0.1, 0.2, 0.4])
    assert Errors.of(aps, aps) == Errors(3, 1.0, 1.0, 0.0, 0.0)
    same = Errors.of(np.full(3, 0.5), aps)
    assert (same.r2, same.tau) == (0.0, 0.0)
    assert Errors.of(aps, np.full(3, 0.2)).tau == 0.0


@pytest.mark.parametrize("planted", [0.003, 0.02])
def test_the_planted_noise_is_found(planted: float) -> None:
    found = Surrogate(fake_table.table(SMALL, networks=100, noise=planted), SMALL).noise
    assert np.sqrt(found.seeds[-1, -1]) == pytest.approx(planted, rel=0.25)
    assert found.residual[-1] < planted


def test_what_a_seed_does_to_all_networks_is_no_noise(table: Table, surrogate: Surrogate) -> None:
    def lucky(network_seed: int, aps: list[float | None]) -> list[float | None]:
        return [None if ap is None else ap + 0.1 * (network_seed == fake_table.SEEDS[1]) for ap in aps]

    networks = tuple(
        replace(
            network,
            trainings=tuple(replace(t, search={"mean": lucky(t.seed, t.search["mean"])}) for t in network.trainings),
        )
        for network in table.networks
    )
    assert Surrogate(replace(table, networks=networks), SMALL).noise.seeds == pytest.approx(surrogate.noise.seeds)


def test_one_seed_shows_no_noise_between_seeds() -> None:
    found = Surrogate(fake_table.table(SMALL, networks=20, seeds=(11,)), SMALL).noise
    assert not found.seeds.any()
    assert found.residual[-1] > 0


def test_draws_have_the_noise_of_their_source() -> None:
    noise = Noise(np.diag([0.0004, 0.0001]), np.array([0.0, 0.02]))
    rng = np.random.default_rng(0)
    table, other = (np.array([noise.draw(source, rng) for _ in range(4_000)]) for source in (TABLE, SURROGATE))
    assert table.std(axis=0) == pytest.approx([0.02, 0.01], rel=0.05)
    assert other.std(axis=0) == pytest.approx([0.02, np.hypot(0.01, 0.02)], rel=0.05)
    assert np.abs(other.mean(axis=0)).max() < 0.002


def test_an_incomplete_table_is_enough(table: Table, surrogate: Surrogate) -> None:
    """A network of which a training failed has the other's AP, and one without any is left out."""
    first, second, *others = table.networks
    one, other = first.trainings
    networks = (
        replace(first, trainings=(replace(one, state="failed", reason="diverged"), other)),
        replace(second, trainings=()),
        *others,
    )
    found = Surrogate(replace(table, networks=networks), SMALL)
    assert found.answer(first.configuration).aps.tolist() == other.search["mean"]
    assert found.answer(second.configuration).source == SURROGATE
    assert found.errors.networks == surrogate.errors.networks - 1


class TestRefusals:
    def test_a_table_of_another_space(self, table: Table) -> None:
        with pytest.raises(InputError, match=f"'small' with digest {SMALL.digest()}, and 'v1_to_v2' has"):
            Surrogate(table, load_space("v1_to_v2"))

    def test_too_few_networks(self) -> None:
        with pytest.raises(InputError, match="has 9 trained networks; a surrogate needs at least 10"):
            Surrogate(fake_table.table(SMALL, networks=9), SMALL)

    def test_a_configuration_of_another_space(self, surrogate: Surrogate) -> None:
        with pytest.raises(InputError, match=r"axis 'attention\.name' is missing"):
            surrogate.answer({"neck.channels": 24})

    def test_a_configuration_that_cannot_be_built(self) -> None:
        space = load_space("architectures")
        counts = SpaceCounts(space)
        broken = next(c for c in space.enumerate() if counts.total(c) is None)
        with pytest.raises(InputError, match="cannot be built, so it has no AP"):
            Surrogate(fake_table.table(space, networks=12), space).answer(broken)


def test_a_table_without_the_ap_of_every_epoch_is_refused(table: Table) -> None:
    config = replace(table.config, train=replace(table.config.train, evaluate_every=3))
    with pytest.raises(InputError, match="an AP after every 3 epochs only"):
        Surrogate(replace(table, config=config), SMALL)
