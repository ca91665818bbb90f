"""Findings of a comparison: sentences that are computed from its records."""

from collections.abc import Iterator
from dataclasses import asdict
from statistics import fmean

from harness.evaluation.stats import CONFIDENCE
from harness.reporting.compare.data import Comparison, Pair
from harness.reporting.compare.read import training
from harness.reporting.format import bounds, counted, headroom, percent, points
from harness.reporting.lock import differences
from harness.reporting.study.data import StudyData
from harness.reporting.study.noise import Noise, means, noise_sentences, pooled

_VERDICTS = {
    (True, True): "Neither the choice of images nor seed variance explains it.",
    (True, False): "The choice of images does not explain it; seed variance may.",
    (False, True): "Seed variance does not explain it; the choice of images may.",
    (False, False): "There may be no difference.",
}
"""Whether the intervals over images and over seeds exclude zero → conclusion."""

_LEVEL = 5e-4
"""Differences of AP below this are 0.0 points."""


def headline(found: Comparison) -> str:
    """Return one paragraph: the compared networks, and the best students."""
    trainings = sum(len(group.members) for group in found.groups)
    studies = " and ".join(f"`{data.study.name}`" for data in found.studies)
    text = (
        f"{counted(trainings, 'training')} of {counted(len(found.groups), 'network')} from {studies}, all measured by "
        f"one AP protocol on {found.images:,} validation images."
    )
    for study, best in found.best.items():
        text += (
            f" The best student of `{study}`, {best.name}, has {best.record.params:,} parameters "
            f"({headroom(best.record.params, best.budget)}) and a mean AP of {percent(best.ap.value['mean'])} % "
            f"{bounds(best.ap.interval('mean'))} ({counted(len(best.members), 'seed')})."
        )
    return text if found.best else f"{text} No student of a search has been graded."


def differing(found: Comparison) -> list[str]:
    """Return the differences between the studies, and whether their trainings are averaged."""
    first = found.studies[0]
    said = []
    for data in found.studies[1:]:
        names = f"`{data.study.name}` against `{first.study.name}`"
        said.append(f"{names}: {differences(_choices(data), _choices(first)) or 'no choice differs'}.")
        if differences(_schedule(data), _schedule(first)):
            said.append(f"{names}: trained differently, so that their trainings are never averaged.")
    return said


def _schedule(data: StudyData) -> dict[str, object]:
    return training(data, asdict(data.study.config.train))


def _choices(data: StudyData) -> dict[str, object]:
    config, teacher = data.study.config, data.study.teacher
    return {
        **_schedule(data),
        "teacher": f"{teacher.label} ({teacher.digest})",
        "space": config.space,
        "budget": str(config.budget),
        "trials": config.trials,
        "device": data.study.provenance.machine["device"],
    }


def findings(found: Comparison) -> list[str]:
    """Return statements about the result; a statement without data is left out."""
    return [*(_pair(pair) for pair in found.pairs), *_choice(found), *noise_sentences({"mean AP": noise(found)})]


def _pair(pair: Pair) -> str:
    value, over_images = pair.ap.value["mean"], pair.ap.interval("mean")
    if value is None or over_images is None:
        return f"{pair.one.name} and {pair.other.name} have no mean AP to compare: a list holds no face."
    side = "above" if value >= 0 else "below"
    apart = f"{abs(100 * value):.1f} points {side}" if abs(value) >= _LEVEL else "level with"
    text = (
        f"{pair.one.name} is {apart} {pair.other.name} in mean AP; "
        f"{100 * CONFIDENCE:.0f} % interval over images {bounds(over_images, points)}"
    )
    seeds = f"{len(pair.one.members)} against {len(pair.other.members)}"
    over_seeds = pair.over_seeds("mean")
    if over_seeds is None:
        may = "does not explain" if over_images.excludes_zero else "may explain"
        text += f". The choice of images {may} it; seed variance was not measured (seeds: {seeds})."
    else:
        verdict = _VERDICTS[over_images.excludes_zero, over_seeds.excludes_zero]
        text += f", over seeds ({seeds}) {bounds(over_seeds, points)}. {verdict}"
    return f"{text} Their trainings also differ in: {pair.apart}." if pair.apart else text


def _choice(found: Comparison) -> Iterator[str]:
    """Yield the APs of each best student: of the training that the search selected, and of those with other seeds."""
    for data in found.studies:
        best = found.best.get(data.study.name)
        if best is None:
            continue
        study, students = data.study.name, counted(len(data.ranked), "student")
        text = (
            f"The search of `{study}` selected {best.name} among {students} by the search AP of its first training, "
            f"{percent(best.record.search_ap['mean'])} %. On the validation images, that training has a mean AP of "
            f"{percent(best.record.ap['mean'])} %"
        )
        values = means(member.ap.value for member in best.members[1:])
        if values:
            text += f"; with other seeds: {', '.join(map(percent, values))} % (mean {percent(fmean(values))} %)"
        yield f"{text}."


def noise(found: Comparison) -> Noise | None:
    """Return the seed variance of the mean AP, pooled over all groups; None if nothing was trained more than once."""
    return pooled(list(group.by_seed("mean").values()) for group in found.groups)
