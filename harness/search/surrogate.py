"""``Surrogate``: the AP of any configuration of a table's space after every epoch, and the noise of one training.

A configuration of the table has the mean over its trainings. For all others a Gaussian process answers (Rasmussen and
Williams, *Gaussian Processes for Machine Learning*, 2006, chapter 2) that was fitted to these means, one for all
epochs. A surrogate in place of trainings: Siems et al., "NAS-Bench-301", arXiv 2008.09777.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from harness.core.space import Configuration, SearchSpace
from harness.core.table import Table
from harness.errors import InputError
from harness.search.candidates import identity
from harness.search.encoding import Encoding, Floats

FOLDS = 10
"""Parts of the cross-validation, and least number of networks."""

TABLE, SURROGATE = SOURCES = ("table", "surrogate")
"""Where an answer comes from."""


class Model:
    """A Gaussian process from configurations as numbers to APs, with one kernel for all epochs.

    Every number is divided by its standard deviation among the fitted rows. Length scale, variance and noise maximise
    the likelihood of these rows.

    Args:
        rows: (n, F), as ``Encoding`` gives them.
        aps: (n, E), the AP after each epoch.
    """

    def __init__(self, rows: Floats, aps: Floats) -> None:
        self._middle, spread = rows.mean(axis=0), rows.std(axis=0)
        # A column that is constant in the table predicts nothing, and is set to zero in all rows.
        self._scale = np.divide(1, spread, out=np.zeros_like(spread), where=spread > 0)
        kernel = ConstantKernel() * RBF(length_scale=np.sqrt(rows.shape[1])) + WhiteKernel(0.5)
        self._process = GaussianProcessRegressor(kernel, normalize_y=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # A value at its bound, such as no noise, is an answer.
            self._process.fit(self._scaled(rows), aps)

    def _scaled(self, rows: Floats) -> Floats:
        scaled: Floats = (rows - self._middle) * self._scale
        return scaled

    def predict(self, rows: Floats) -> Floats:
        """Return the expected AP (m, E) of rows (m, F)."""
        found: Floats = np.asarray(self._process.predict(self._scaled(rows)), dtype=np.float64)
        return found.reshape(len(rows), -1)


def folds(count: int) -> list[Floats]:
    """Return the ``FOLDS`` parts of 0 … ``count`` - 1, whose sizes differ by at most one, drawn with seed 0."""
    return np.array_split(np.random.default_rng(0).permutation(count), FOLDS)


def held_out(rows: Floats, aps: Floats) -> Floats:
    """Return the APs (n, E) that are predicted for each fold by a model of all other folds, which saw none of it."""
    found = np.zeros_like(aps)
    for fold in folds(len(rows)):
        rest = np.setdiff1d(np.arange(len(rows)), fold)
        found[fold] = Model(rows[rest], aps[rest]).predict(rows[fold])
    return found


@dataclass(frozen=True)
class Errors:
    """Errors of cross-validated predictions of the AP after the last epoch.

    Attributes:
        networks: number of networks.
        r2: 1 less the mean squared error as a share of the variance.
        tau: Kendall's τ-b with the measured APs.
        mae: mean absolute error of the AP.
        rmse: root of the mean squared error.
    """

    networks: int
    r2: float
    tau: float
    mae: float
    rmse: float

    @classmethod
    def of(cls, measured: Floats, predicted: Floats) -> "Errors":
        """Return the errors of predictions (n,) of measured APs (n,); r2 and τ are 0 where all APs are equal."""
        squared, variance = float(np.mean((measured - predicted) ** 2)), float(np.var(measured))
        tau = float(kendalltau(measured, predicted).statistic) if variance else 0.0
        return cls(
            networks=len(measured),
            r2=1 - squared / variance if variance else 0.0,
            tau=tau if np.isfinite(tau) else 0.0,
            mae=float(np.mean(np.abs(measured - predicted))),
            rmse=squared**0.5,
        )


@dataclass(frozen=True, eq=False)
class Noise:
    """What separates the AP of one training from an answer.

    Attributes:
        seeds: (E, E), covariance over epochs between trainings of one network with several seeds, without what a seed
            does to all networks alike: all trainings of a study have the same seed. Zeros if no two were trained.
        residual: (E,), standard deviation of the networks around the surrogate's predictions, apart from seeds.
    """

    seeds: Floats
    residual: Floats

    def draw(self, source: str, rng: np.random.Generator) -> Floats:
        """Return how far (E,) a training lies from an answer of this source; a residual has one sign in all epochs."""
        values, vectors = np.linalg.eigh(self.seeds)
        found: Floats = vectors @ (np.sqrt(np.maximum(values, 0)) * rng.standard_normal(len(values)))
        lift = rng.standard_normal()
        return found + lift * self.residual if source == SURROGATE else found


def seed_covariance(trainings: Sequence[dict[int, list[float]]]) -> Floats:
    """Return the covariance (E, E) between seeds, pooled over the networks that were trained with every seed.

    Args:
        trainings: for each network, seed → AP after each epoch.
    """
    epochs = len(next(iter(trainings[0].values())))
    seeds = sorted({seed for network in trainings for seed in network})
    whole = np.array([[network[seed] for seed in seeds] for network in trainings if len(network) == len(seeds)])
    freedom = (len(whole) - 1) * (len(seeds) - 1)
    if freedom < 1:
        return np.zeros((epochs, epochs))
    apart = whole - whole.mean(axis=1, keepdims=True)
    apart = (apart - apart.mean(axis=0)).reshape(-1, epochs)
    covariance: Floats = apart.T @ apart / freedom
    return covariance


@dataclass(frozen=True, eq=False)
class Answer:
    """The expected AP (E,) of a configuration after each epoch, and which of ``SOURCES`` it comes from."""

    aps: Floats
    source: str


class Surrogate:
    """Answers for every configuration of a table's space that can be built.

    Attributes:
        known: ``identity`` of a configuration of the table → the mean (E,) over its complete trainings.
        errors: those of cross-validation.
        noise: that of one training.

    Raises:
        InputError: the table is of another space, has too few networks, or lacks the AP of some epochs.
    """

    def __init__(self, table: Table, space: SearchSpace) -> None:
        if table.space_digest != space.digest():
            raise InputError(
                f"the table is of a space '{table.space}' with digest {table.space_digest}, and '{space.name}' has "
                f"{space.digest()}: give the table's space with --space, or make a table of this one"
            )
        every = table.config.train.evaluate_every
        if every > 1:
            raise InputError(
                f"the table has an AP after every {every} epochs only; searches are replayed epoch by epoch: give a "
                "table that was made with --evaluate-every 1"
            )
        trained = [network for network in table.networks if network.aps]
        if len(trained) < FOLDS:
            raise InputError(f"the table has {len(trained)} trained networks; a surrogate needs at least {FOLDS}")
        self._space = space
        self._encoding = Encoding(space, table.config.speed.size)
        rows = self._encoding.rows(network.configuration for network in trained)
        aps = np.array([np.mean(list(network.aps.values()), axis=0) for network in trained])
        self.known = {identity(network.configuration): mean for network, mean in zip(trained, aps, strict=True)}
        self._model = Model(rows, aps)
        predicted = held_out(rows, aps)
        self.errors = Errors.of(aps[:, -1], predicted[:, -1])
        covariance = seed_covariance([network.aps for network in trained])
        # The means that the predictions are compared with have seed variance too.
        share = np.mean([1 / len(network.aps) for network in trained]) * np.diag(covariance)
        residual = np.maximum(np.mean((aps - predicted) ** 2, axis=0) - share, 0)
        self.noise = Noise(covariance, np.sqrt(residual))

    def answer(self, configuration: Configuration) -> Answer:
        """Return the predicted or tabulated AP of a configuration.

        Raises:
            InputError: it is not in the space, or cannot be built.
        """
        self._space.check(configuration)
        return self.answers([configuration])[0]

    def answers(self, configurations: Sequence[Configuration]) -> list[Answer]:
        """Return the predicted or tabulated APs of configurations of the space.

        Raises:
            InputError: one of them cannot be built.
        """
        predicted = np.clip(self._model.predict(self._encoding.rows(configurations)), 0, 1)
        names = [identity(configuration) for configuration in configurations]
        return [
            Answer(self.known[name], TABLE) if name in self.known else Answer(row, SURROGATE)
            for name, row in zip(names, predicted, strict=True)
        ]
