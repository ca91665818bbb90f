"""What a study found, in sentences that are computed from its records."""

from statistics import fmean, median, stdev

import pandas as pd

from harness.core.record import TrialRecord
from harness.reporting.format import counted, headroom, points
from harness.reporting.study.data import StudyData


def _apart(value: float) -> str:
    return f"{abs(100 * value):.1f} points {'above' if value >= 0 else 'below'}"


def _mean(record: TrialRecord) -> float | None:
    return record.ap.get("mean")


def _teacher(data: StudyData) -> str:
    label = "" if data.teacher is None else data.teacher.label
    return f"the teacher {'V1' if label == 'v1' else label}"


def headline(data: StudyData) -> str:
    """Return one paragraph: what was searched, under which budget, and with what result."""
    study, config = data.study, data.study["config"]
    if not data.searches:
        return _references(data)
    ended = data.candidates("complete")
    text = (
        f"The study searched the space `{config['space']}` ({study['space_size']:,} configurations, "
        f"{study['space_feasible']:,} of them within the budget of {data.bounds}) with Optuna's "
        f"{config['sampler']} sampler. {counted(len(ended), 'student')} of {config['trials']:,} wanted "
        f"{'was' if len(ended) == 1 else 'were'} trained to the end, "
        f"{len(data.candidates('pruned')):,} stopped early, {len(data.candidates('failed')):,} failed."
    )
    best = data.best
    if best is None:
        return f"{text} There is no result yet: no student has a final AP."
    text += (
        f" The best student, trial {best.label}, has {best.params:,} parameters "
        f"({headroom(best.params, data.budget)}) and a mean AP of {100 * (_mean(best) or 0):.1f} %"
    )
    teacher, v2 = data.teacher, data.named("v2")
    beside = [
        f"{name} {100 * value:.1f} %"
        for name, record in (("V2, trained by the same schedule,", v2), (_teacher(data), teacher))
        if record is not None and (value := _mean(record)) is not None
    ]
    return f"{text}; {' and '.join(beside)}." if beside else f"{text}."


def _references(data: StudyData) -> str:
    """Return the paragraph of a study that searched nothing."""
    trained = [r for r in data.records if r.role == "reference" and r.state == "complete"]
    firsts = [r for r in trained if not r.repeat_of]
    taught = "" if data.teacher is None else f" and {_teacher(data)} ({100 * (_mean(data.teacher) or 0):.1f} %)"
    listed = ", ".join(f"{r.label} {100 * (_mean(r) or 0):.1f} %" for r in firsts)
    return (
        f"The study searched nothing: it trained references, {counted(len(trained), 'network')} to the end. "
        f"Mean AP of first trainings: {listed or 'none yet'}{taught}."
    )


def findings(data: StudyData) -> list[str]:
    """Return plain statements about the result, each only where its data is there."""
    said = [*_against_references(data), *_seeds(data), *_spread(data), *_space(data), *_speed(data), *_importance(data)]
    return [*said, *_caveats(data)]


def _against_references(data: StudyData) -> list[str]:
    best, teacher, v2 = data.best, data.teacher, data.named("v2")
    said: list[str] = []
    if best is None:
        return said
    if v2 is not None and (value := _mean(v2)) is not None:
        levels = ", ".join(
            f"{level} {points(one - other)}"
            for level in ("easy", "medium", "hard")
            if (one := best.ap.get(level)) is not None and (other := v2.ap.get(level)) is not None
        )
        size = best.params - v2.params
        more = f"{abs(size):,} parameters {'more' if size > 0 else 'fewer'}" if size else "as many parameters"
        said.append(
            f"Trial {best.label} is {_apart((_mean(best) or 0) - value)} V2 in mean AP ({levels}), with {more}."
        )
        above = sum((_mean(r) or 0) >= value for r in data.ranked)
        said.append(f"Students trained to the end that reach V2's mean AP: {above:,} of {len(data.ranked):,}.")
        if v2.params > data.budget:
            said.append(f"V2 itself is {headroom(v2.params, data.budget)} and stands outside the search.")
    if teacher is not None and (value := _mean(teacher)) is not None:
        trained = f"was trained for {len(teacher.epochs):,} epochs" if teacher.epochs else "came with its weights"
        said.append(
            f"The best student is {_apart((_mean(best) or 0) - value)} {_teacher(data)} in mean AP, with "
            f"{100 * (1 - best.params / teacher.params):.1f} % fewer parameters. The teacher {trained}, the students "
            f"trained for {data.study['config']['train']['epochs']:,} epochs."
        )
    return said


def _seeds(data: StudyData) -> list[str]:
    """Say what other seeds of the same network reached."""
    said = []
    for record in data.records:
        trainings = data.trainings(record.label)
        means = [value for r in trainings if (value := _mean(r)) is not None]
        if record.repeat_of or len(means) < 2:
            continue
        text = f"{record.label}: {100 * fmean(means):.1f} ± {100 * stdev(means):.1f} % mean AP over {len(means)} seeds"
        if record.role == "candidate":
            text += f"; {100 * fmean(means[1:]):.1f} % without the one that it was chosen by"
        said.append(f"{text} (mean and standard deviation).")
    return said


def _spread(data: StudyData) -> list[str]:
    means = [value for r in data.ranked if (value := _mean(r)) is not None]
    if len(means) < 2:
        return []
    said = [
        f"Mean AP of the students trained to the end: {100 * min(means):.1f} to {100 * max(means):.1f} %, "
        f"median {100 * median(means):.1f} %."
    ]
    if len(means) >= 8:
        frame = pd.DataFrame({"params": [r.params for r in data.ranked], "ap": means})
        rank = frame["params"].rank().corr(frame["ap"].rank())
        if pd.notna(rank):
            said.append(f"Rank correlation of parameters and mean AP over these {len(means):,}: {rank:+.2f}.")
    return said


def _space(data: StudyData) -> list[str]:
    study = data.study
    if not data.searches:
        return []
    size, buildable, feasible = study["space_size"], study["space_buildable"], study["space_feasible"]
    tried = len(data.candidates())
    said = [
        f"Of {size:,} configurations {buildable:,} can be built and {feasible:,} ({100 * feasible / size:.1f} %) fit "
        f"the budget; {tried:,} of these were tried. Trials spent on candidates that break the budget or cannot be "
        f"built: {study.get('wasted', 0):,}; on repeated ones: {study.get('repeated', 0):,}."
    ]
    turned_down = {
        reason: study.get("proposals", {}).get(f"rejected_{key}", 0)
        for key, reason in (
            ("over_budget", "over the budget"),
            ("unbuildable", "not buildable"),
            ("repeated", "repeated"),
        )
    }
    if any(turned_down.values()):
        named = ", ".join(f"{count:,} {reason}" for reason, count in turned_down.items() if count)
        said.append(f"Proposals of the sampler that were turned down before a trial existed: {named}.")
    pruned = data.candidates("pruned")
    if pruned:
        wanted = len(pruned) * data.study["config"]["train"]["epochs"]
        said.append(f"Stopping early saved {wanted - sum(len(r.epochs) for r in pruned):,} of {wanted:,} epochs.")
    return said


def _speed(data: StudyData) -> list[str]:
    best, v2 = data.best, data.named("v2")
    if best is None or not best.speed:
        return []
    text = f"The best student runs at {best.speed['ratio_to_v1']:.2f} times V1's FPS"
    if v2 is not None and v2.speed:
        text += f", V2 at {v2.speed['ratio_to_v1']:.2f} times"
    return [f"{text} ({best.speed['device']}, {best.speed['size']}×{best.speed['size']} pixels, batch 1)."]


def _importance(data: StudyData) -> list[str]:
    if not data.importance:
        return []
    top = sorted(data.importance.items(), key=lambda item: -item[1])[:3]
    named = ", ".join(f"`{axis}` ({100 * share:.0f} %)" for axis, share in top)
    count = len(data.ranked)
    students = counted(count, "student")
    return [f"Axes that decide most whether a student is among the best: {named}; an estimate from {students}."]


def _caveats(data: StudyData) -> list[str]:
    if not data.ranked:
        return []
    said = []
    if not any(r.repeat_of for r in data.records):
        said.append(
            "Each network was trained once. How much another seed would change an AP was not measured, so that small "
            "differences between networks may be chance."
        )
    if len(data.ranked) > 1:
        said.append(
            "The best student was chosen by the AP that is reported for it, on the same images: its AP is optimistic."
        )
    if not data.synthetic:
        said.append(
            "The images are those of one WIDER FACE copy, named by its digest: comparable with other networks trained "
            "and evaluated on the same copy, and not with published WIDER FACE tables."
        )
    return said
