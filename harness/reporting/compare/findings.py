"""What a comparison found, in sentences that are computed from its records."""

import math
from collections.abc import Iterator
from statistics import mean, median

from harness.core.protocol import Budget, TrainConfig
from harness.evaluation.stats import CONFIDENCE, spread
from harness.reporting.compare.data import Comparison, Group, Pair, training
from harness.reporting.format import bounds, counted, headroom, percent, points
from harness.reporting.lock import differences
from harness.reporting.study.data import StudyData


def headline(found: Comparison) -> str:
    """Return one paragraph: what is compared, and the best student."""
    networks = sum(len(group.members) for group in found.groups)
    studies = " and ".join(f"`{data.study['name']}`" for data in found.studies)
    text = (
        f"Trainings: {networks:,}, of {len(found.groups):,} different networks, from {studies}; all measured by one AP "
        f"protocol on {_images(found):,} images."
    )
    best = found.leader
    if best is None:
        return f"{text} No student of a search has been trained to the end."
    return (
        f"{text} The best student within its budget, {best.name}, has {best.record.params:,} parameters "
        f"({headroom(best.record.params, best.budget)}) and a mean AP of {percent(best.ap.value['mean'])} % "
        f"{bounds(best.ap.interval('mean'))}{_of_seeds(best)}."
    )


def _images(found: Comparison) -> int:
    return len(found.groups[0].ap.ids)


def _of_seeds(group: Group) -> str:
    return f", the mean of {len(group.members):,} seeds" if len(group.members) > 1 else ""


def differing(found: Comparison) -> list[str]:
    """Return what differs between the studies, and that such trainings are never averaged."""
    first = found.studies[0]
    said = []
    for data in found.studies[1:]:
        apart = differences(_choices(data), _choices(first))
        names = f"`{data.study['name']}` against `{first.study['name']}`"
        said.append(f"What differs, {names}: {apart or 'nothing but what was found'}.")
        if differences(training(data), training(first)):
            said.append(f"The trainings of these two differ, so that none of them share a row: {names}.")
    return said


def _choices(data: StudyData) -> dict[str, object]:
    config = data.study["config"]
    teacher = data.study["teacher"]
    return {
        **training(data),
        "teacher": f"{teacher.get('label', 'none')} ({teacher.get('digest', '')})",
        "space": config["space"],
        "budget": str(Budget(**config["budget"])),
        "trials": config["trials"],
        "device": data.study["machine"]["device"],
    }


def findings(found: Comparison) -> list[str]:
    """Return plain statements about the result, each only where its data is there."""
    said = [_pair(pair, _images(found)) for pair in found.pairs]
    return [*said, *_choice(found), *_seeds(found), *_caveats(found)]


def _pair(pair: Pair, images: int) -> str:
    value = pair.ap.value["mean"] or 0.0
    levels = ", ".join(
        f"{level} {points(pair.ap.value[level])}"
        for level in ("easy", "medium", "hard")
        if pair.ap.value[level] is not None
    )
    side = "above" if value >= 0 else "below"
    text = f"{pair.one.name} is {abs(100 * value):.1f} points {side} {pair.other.name} in mean AP ({levels}). "
    return text + _verdict(pair, images) + _but(pair)


def _verdict(pair: Pair, images: int) -> str:
    """Say what the difference rests on, and whether zero is outside."""
    over_images, over_seeds = pair.ap.interval("mean"), pair.over_seeds("mean")
    one, other = len(pair.one.members), len(pair.other.members)
    if over_images is None:
        return "It has no interval."
    text = (
        f"Its {100 * CONFIDENCE:.0f} % interval over the {images:,} images, {bounds(over_images, points)}, "
        f"{_zero(over_images.excludes_zero)}"
    )
    if over_seeds is None:
        trained = "both were trained once" if one == other == 1 else f"seeds: {one} against {other}"
        return f"{text}; what other seeds would give is not known ({trained})."
    text += (
        f"; that over seeds ({one} against {other}), {bounds(over_seeds, points)}, {_zero(over_seeds.excludes_zero)}."
    )
    if over_images.excludes_zero and not over_seeds.excludes_zero:
        return f"{text} So it is more than the choice of images, and may be the luck of the seeds."
    if over_seeds.excludes_zero and not over_images.excludes_zero:
        return f"{text} So it is more than the luck of the seeds, and may be the choice of images."
    if over_seeds.excludes_zero:
        return f"{text} So neither the choice of images nor the luck of the seeds explains it."
    return f"{text} So there may be no difference."


def _zero(excluded: bool) -> str:
    return "excludes zero" if excluded else "includes zero"


def _but(pair: Pair) -> str:
    said = ""
    if pair.chosen:
        said += f" Optimistic: one of its trainings was chosen among {pair.chosen:,} by its AP on these images."
    if pair.apart:
        said += f" Their trainings differ in more: {pair.apart}."
    return said


def _choice(found: Comparison) -> Iterator[str]:
    """Say what the search's choice does to the AP of the student that it chose."""
    for data in found.studies:
        best, count = found.best.get(data.study["name"]), len(data.ranked)
        if best is None or count < 2:
            continue
        text = (
            f"{best.name} was chosen among {count:,} by the mean AP of its first training, "
            f"{percent(best.record.ap['mean'])} %, on the same images: that figure is optimistic."
        )
        repeats = best.repeats()
        if repeats is None:
            yield f"{text} It was not trained again, so there is no figure that the choice has not touched."
            continue
        others = [value for member in repeats.members if (value := member.ap.value["mean"]) is not None]
        again = counted(len(others), "other seed")
        yield (
            f"{text} Trained again with {again} it has {percent(mean(others))} %{_range(others)}: without the luck of "
            "the chosen training, though its design was still chosen on these images."
        )


def _range(values: list[float]) -> str:
    return f" ({percent(min(values))} to {percent(max(values))} %)" if len(values) > 1 else ""


def _seeds(found: Comparison) -> Iterator[str]:
    deviations = [d for group in found.groups if (d := spread(list(group.by_seed("mean").values()))) is not None]
    if deviations:
        usual, count = median(deviations), len(deviations)
        measured = f"{count:,} networks trained more than once, the median" if count > 1 else "1 network"
        yield (
            f"Between seeds, mean AP has a standard deviation of {100 * usual:.1f} points ({measured}): by the seeds "
            f"alone, the difference of two networks trained once each has {100 * math.sqrt(2) * usual:.1f}."
        )


def _caveats(found: Comparison) -> Iterator[str]:
    for data in found.studies:
        config = data.study["config"]
        chosen = [
            who for who, part in (("students", "train"), ("teacher", "teacher")) if _picks(data, who, config[part])
        ]
        if chosen:
            yield (
                f"`{data.study['name']}` kept the epoch of its {' and its '.join(chosen)} that had the best AP on "
                "validation images: their APs are optimistic by that choice."
            )
    if not found.studies[0].synthetic:
        yield (
            "The images are those of one WIDER FACE copy, named by its digest: comparable with other networks trained "
            "and evaluated on the same copy, and not with published WIDER FACE tables."
        )


def _picks(data: StudyData, who: str, schedule: dict[str, object]) -> bool:
    teacher = next((record for record in data.records if record.role == "teacher"), None)
    trained = who == "students" or (teacher is not None and bool(teacher.epochs))
    return trained and TrainConfig(**schedule).patience > 0  # type: ignore[arg-type]
