"""Measures one score of all candidates, and what it costs for some of them."""

import math
from collections.abc import Callable
from dataclasses import replace

from benchmarks.scores.catalogue import CATALOGUE, COUNTED, SHARED, SHORTER, UNTRAINED
from benchmarks.scores.data import Score
from benchmarks.scores.setting import Setting
from benchmarks.scores.slices import scorer, train_shared_weights
from harness.core.arch import ArchConfig
from harness.models.costs import count, macs
from harness.reporting.format import counted


def measured(setting: Setting, name: str) -> Score:
    """Return the score called ``name``, measured.

    Raises:
        HarnessError, OSError: the environment failed; the same call resumes its trainings.
    """
    return _MEASURES[CATALOGUE[name].kind](setting, name)


def _counted(setting: Setting, name: str) -> Score:
    side = setting.plan.config.speed.size
    counts: dict[str, Callable[[ArchConfig], float]] = {
        "params": count,
        "macs": lambda arch: sum(macs(arch, side, side).values()),
    }
    return _scored(setting, name, counts[name], "" if name == "params" else f"at {side}×{side} pixels")


def _untrained(setting: Setting, name: str) -> Score:
    untrained = setting.untrained
    detail = "" if name == "synflow" else f"a batch of {untrained.images} images"
    return _scored(setting, name, lambda arch: untrained.score(name, arch), detail)


def _shared(setting: Setting, name: str) -> Score:
    plan = setting.sharing
    train_shared_weights(plan, lambda: setting.pool, setting.progress)
    config = plan.shared.config
    tuning = config.tuning if name == "tuned_slices" else 0
    slices = scorer(plan, tuning)
    what = f"{tuning} steps" if tuning else f"{config.calibration} batches"
    if config.images:
        what += f"; scored on {config.images:,} search images"
    if config.side:
        what += f"; images resized to a longest side of {config.side} pixels"
    detail = f"{what}; the shared weights are trained for {counted(config.train.epochs, 'epoch')}"
    score = _scored(setting, name, lambda arch: slices.score(arch)["mean"], detail)
    return replace(score, once=setting.shared_weights)


def _scored(setting: Setting, name: str, score: Callable[[ArchConfig], float | None], detail: str) -> Score:
    """Score all candidates in this process, one after the other."""
    title, values = CATALOGUE[name].title, dict[str, float | None]()
    for label, arch in setting.archs.items():
        setting.progress.stage(title, len(values), len(setting.archs))
        value = score(arch)
        values[label] = None if value is None or not math.isfinite(value) else float(value)
    setting.progress.stage(title, len(values), len(setting.archs))
    shares = {}
    for label, clock in setting.clocks.items():
        arch = setting.archs[label]
        shares[label] = clock.time(title, lambda arch=arch: score(arch)) / clock.full  # type: ignore[misc]
    return Score(values, shares, detail=detail)


def _shorter(setting: Setting, name: str) -> Score:
    title, plan = CATALOGUE[name].title, setting.plan_of(name)
    records = setting.train(plan, title)
    values = {label: record.search_ap.get("mean") for label, record in records.items()}
    shares = {
        label: clock.training(title, setting.job(label, plan)) / clock.full
        for label, clock in setting.clocks.items()
        if records[label].state == "complete"
    }
    return Score(values, shares, detail=setting.recipes[name].detail)


_MEASURES: dict[str, Callable[[Setting, str], Score]] = {
    COUNTED: _counted,
    UNTRAINED: _untrained,
    SHARED: _shared,
    SHORTER: _shorter,
}
