"""Findings of a study: sentences that are computed from its records."""

from collections.abc import Iterator, Mapping
from statistics import fmean, median

import pandas as pd

from harness.core.record import TrialRecord
from harness.data.truth import LISTS
from harness.evaluation.stats import CONFIDENCE
from harness.reporting.format import bounds, counted, deviation, headroom, minus, percent, points
from harness.reporting.study.data import StudyData
from harness.reporting.study.fronts import front
from harness.reporting.study.noise import gap, means, noise_sentences, over_seeds, search_noise, ties, validation_noise
from harness.reporting.study.replay import replayed

FEWEST_RANKED = 8
"""Least number of students for a rank correlation."""


def headline(data: StudyData) -> str:
    """Return one paragraph: the searched space, the budget and the result."""
    study, config, best = data.study, data.study.config, data.best
    if not data.searches:
        return _references(data)
    ended = data.candidates("complete")
    made, wanted = len(data.candidates("complete", "pruned", "failed")), study.standing.trials["wanted"]
    unfinished = f"**Unfinished: {made:,} of {counted(wanted, 'trial')} have ended.** " if made < wanted else ""
    what = "architectures of the space" if config.sharing else "space"
    text = unfinished + (
        f"The study searched the {what} `{config.space}` ({study.space.size:,} configurations, "
        f"{study.space.feasible:,} of them within the budget of {data.bounds}) with the "
        f"{config.sampler} sampler. "
    )
    if config.sharing is not None:
        several = len(config.objectives) > 1
        scored = f"{counted(len(data.scores), 'student')} of {config.trials:,} were scored by shared weights"
        if data.shortlist:
            listed = "with high scores that differ" if not several else "that dominate most of the objectives"
            scored += f", and {len(data.shortlist):,} {listed} were trained for an epoch"
        chosen = "that dominate most of the objectives" if several else "best"
        text += (
            f"{scored}. The {wanted:,} {chosen} are trained to the end, from their slices: {len(ended):,} ended, "
            f"{len(data.candidates('failed')):,} failed."
        )
    else:
        text += (
            f"Of {counted(config.trials, 'student')}, {len(ended):,} were trained to the end, "
            f"{len(data.candidates('pruned')):,} were stopped early and {len(data.candidates('failed')):,} failed."
        )
    if best is None:
        return f"{text} There is no result yet: no student has a search AP."
    size = f"{best.params:,} parameters ({headroom(best.params, data.budget)})"
    text += f" The best student by search AP, trial {best.label}, has {size}."
    graded = _graded(data.shown(), data)
    return f"{text} Mean AP on the validation images: {graded}." if graded else text


def _references(data: StudyData) -> str:
    """Return the paragraph of a study without a search."""
    firsts = {r.label: r for r in data.records if r.role in ("teacher", "reference") and not r.repeat_of}
    return (
        "The study trained references, without a search. Mean AP on the validation images: "
        f"{_graded(firsts, data) or 'none yet'}."
    )


def _graded(networks: Mapping[str, TrialRecord], data: StudyData) -> str:
    """Return name and mean validation AP of the networks that have one, ± the standard deviation over seeds."""
    aps = {name: over_seeds(data.trainings(record.label), "mean") for name, record in networks.items()}
    return ", ".join(f"{name} {percent(ap[0])}{deviation(ap[1])} %" for name, ap in aps.items() if ap is not None)


def worth(data: StudyData) -> list[str]:
    """Return the seed variance, and which students tie with the best."""
    search, validation, best = search_noise(data), validation_noise(data), data.best
    said = []
    if search is None:
        said.append(
            "Seed variance was not measured: every network was trained once. Any difference between two networks here "
            "may be seed variance. `--seeds 3` trains the references and the best student with two more seeds each."
        )
    said += noise_sentences({"mean search AP": search, "mean validation AP": validation})
    tied = ties(data)
    if best is not None and tied is not None:
        named = ", ".join(f"{r.label} ({percent(r.search_ap['mean'])} %)" for r in tied)
        by = f"(search AP {percent(best.search_ap['mean'])} %)"
        said.append(
            f"Students that tie with trial {best.label} {by}, since they are within that difference: {named}."
            if tied
            else f"No other student is within that difference of trial {best.label} {by}."
        )
    if best is not None:
        said.append(
            "Processors round floating-point numbers differently: on another machine, the same command may select "
            "another student."
        )
    return said


def findings(data: StudyData) -> list[str]:
    """Return statements about the result; a statement without data is left out."""
    return [
        *_against_references(data),
        *_front(data),
        *_stopping(data),
        *_latency(data),
        *_spread(data),
        *_space(data),
        *_importance(data),
    ]


def _front(data: StudyData) -> Iterator[str]:
    """Yield the Pareto front of a study with several objectives, its knee and its hypervolume."""
    found = front(data)
    if found is None:
        return
    ends = [
        f"{record.label} ({percent(record.search_ap['mean'])} %, {record.params:,} parameters)"
        for record in (found.members[0], *found.members[1:][-1:])
    ]
    of = f"{len(found.members):,} of {counted(found.students, 'student')}"
    yield f"Pareto front of {', '.join(data.study.config.objectives)}: {of}, {' to '.join(ends)}."
    knee = "It has no knee" if found.knee is None else f"Its knee is trial {found.knee.label}"
    yield f"{knee}; its hypervolume is {found.volume:.4f} ([definitions](#method))."


def _stopping(data: StudyData) -> Iterator[str]:
    """Yield what the rule ``dominated`` would have saved and lost in a study without early stopping."""
    found = replayed(data)
    if found is not None:
        yield (
            f"With `--pruner dominated`, {found.stopped:,} of these {counted(found.students, 'trial')} would have been "
            f"stopped early, which saves {found.saved:,} of {counted(found.epochs, 'epoch')} and loses "
            f"{100 * found.lost:.2f} % of the hypervolume (later proposals would differ, which is left out here)."
        )


def _latency(data: StudyData) -> Iterator[str]:
    """Yield how far predicted and measured latencies are apart; V1's are 1 by definition."""
    errors = [
        abs(record.latency * record.speed["ratio_to_v1"] - 1)
        for record in data.records
        if record.latency is not None and record.speed and record.label != "v1"
    ]
    if errors:
        yield (
            f"Predicted latencies of the {counted(len(errors), 'network')} that were measured differ from the measured "
            f"ones by {percent(median(errors))} % in the median and by at most {percent(max(errors))} %."
        )


def _against_references(data: StudyData) -> Iterator[str]:
    best, teacher, v2 = data.best, data.teacher, data.named("v2")
    if best is None:
        return
    if v2 is not None:
        if apart := _apart(best, v2, data):
            size = best.params - v2.params
            more = f"{abs(size):,} {'more' if size > 0 else 'fewer'} parameters" if size else "as many parameters"
            yield f"Trial {best.label}, with {more}, is {apart.format('V2')}"
        yield from _inheritance(best, v2, data)
        if reached := means(r.search_ap for r in data.trainings("v2")):
            above = sum(mean >= fmean(reached) for mean in means(r.search_ap for r in data.ranked))
            students = counted(len(data.ranked), "student")
            yield f"V2's mean search AP, {percent(fmean(reached))} %, is reached by {above:,} of {students}."
    if teacher is not None and (apart := _apart(best, teacher, data)):
        fewer, epochs = 1 - best.params / teacher.params, data.study.config.train.epochs
        trained = (
            f"was trained for {counted(len(teacher.epochs), 'epoch')}" if teacher.epochs else "was given as weights"
        )
        yield (
            f"Trial {best.label}, with {percent(fewer)} % fewer parameters, is {apart.format('the teacher')} "
            f"The teacher {trained}; the students were trained for {counted(epochs, 'epoch')}."
        )


def _inheritance(best: TrialRecord, v2: TrialRecord, data: StudyData) -> Iterator[str]:
    """Yield what starting from slices of shared weights gives to V2, and what the best student's design adds."""
    inherited = data.from_slices
    if inherited is None:
        return
    if apart := _apart(inherited, v2, data):
        yield f"V2 trained from its slices of the shared weights, as the students are, is {apart.format('V2')}"
    if apart := _apart(best, inherited, data):
        yield f"By its design, trial {best.label} is {apart.format('V2 from slices')}"


def _apart(one: TrialRecord, other: TrialRecord, data: StudyData) -> str:
    """Return the difference of the validation APs of two networks, means over seeds, with {} for the other's name.

    With its interval over seeds if both were trained more than once. Empty if one was not graded.
    """
    sides = [data.trainings(side.label) for side in (one, other)]
    found = gap(*sides)
    if found is None:
        return ""
    mean, interval = found
    aps = {name: [over_seeds(side, name) for side in sides] for name in LISTS}
    levels = ", ".join(
        f"{name} {points(a[0] - b[0])}" for name, (a, b) in aps.items() if a is not None and b is not None
    )
    text = f"{abs(100 * mean):.1f} points {'above' if mean >= 0 else 'below'} {{}} in mean validation AP ({levels})"
    seeds = f"{counted(len(sides[0]), 'training')} and {len(sides[1])}"
    if interval is None:
        return f"{text}, over {seeds}." if max(map(len, sides)) > 1 else f"{text}."
    verdict = "Seed variance does not explain it." if interval.excludes_zero else "Seed variance may explain it."
    return f"{text}, over {seeds}; {100 * CONFIDENCE:.0f} % interval over seeds {bounds(interval, points)}. {verdict}"


def _spread(data: StudyData) -> Iterator[str]:
    aps = means(r.search_ap for r in data.ranked)
    if len(aps) < 2:
        return
    yield (
        f"Mean search AP of the students trained to the end: {percent(min(aps))} to {percent(max(aps))} %, median "
        f"{percent(median(aps))} %."
    )
    if len(aps) >= FEWEST_RANKED:
        params = pd.Series([r.params for r in data.ranked])
        rank = params.rank().corr(pd.Series(aps).rank())
        if pd.notna(rank):
            yield f"Rank correlation of parameters and mean search AP over these {len(aps):,}: {minus(f'{rank:+.2f}')}."


def _space(data: StudyData) -> Iterator[str]:
    study = data.study
    if not data.searches:
        return
    size, buildable, feasible = study.space.size, study.space.buildable, study.space.feasible
    yield (
        f"Of {size:,} configurations {buildable:,} can be built and {feasible:,} ({percent(feasible / size)} %) fit "
        f"the budget; {len(data.candidates()):,} of these were tried. Trials spent on candidates that break the budget "
        f"or cannot be built: {study.standing.wasted:,}; on repeated candidates: {study.standing.repeated:,}."
    )
    proposals = study.standing.proposals
    reasons = {"over_budget": "over the budget", "unbuildable": "not buildable", "repeated": "repeated"}
    rejected = [f"{n:,} {text}" for key, text in reasons.items() if (n := proposals.get(f"rejected_{key}"))]
    if rejected:
        yield f"Proposals of the sampler that were rejected before they became trials: {', '.join(rejected)}."
    pruned = data.candidates("pruned")
    if pruned:
        wanted = len(pruned) * study.config.train.epochs
        yield f"Pruning saved {wanted - sum(len(r.epochs) for r in pruned):,} of {wanted:,} epochs."


def _importance(data: StudyData) -> Iterator[str]:
    if data.importance:
        top = sorted(data.importance.items(), key=lambda item: -item[1])[:3]
        named = ", ".join(f"`{axis}` ({100 * share:.0f} %)" for axis, share in top)
        yield f"Axes in which the best trials differ most from all trials (PED-ANOVA): {named}."
