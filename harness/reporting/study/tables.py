"""The tables of a study: plain numbers for ``results.csv``, text for reports."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from rich.table import Table

from harness.core import documented
from harness.core.arch import ARCHS, MOBILENET_STAGES, PARTS, in_stages
from harness.core.record import TrialRecord
from harness.data.truth import LISTS
from harness.evaluation.stats import LEVELS, spread
from harness.models.costs import count
from harness.reporting import landmarks
from harness.reporting.format import NOTHING, bounds, deviation, minus, percent, points, signed, terminal
from harness.reporting.lock import one_protocol
from harness.reporting.parts import part_counts
from harness.reporting.study.data import FROM_SLICES, StudyData, load
from harness.reporting.study.findings import findings
from harness.reporting.study.fronts import front
from harness.reporting.study.method import DOCUMENTED
from harness.reporting.study.noise import gap, means, over_seeds, repeated

ABOVE_V2 = "above V2, points"
ABOVE_SLICES = f"above {FROM_SLICES}, points"
PREDICTED = "latency / V1, predicted"


def results(data: StudyData) -> pd.DataFrame:
    """Return one row per network with everything measured, in plain units: AP in [0, 1], sizes in 10^6 bytes.

    Raises:
        InputError: the networks' APs were measured by more than one protocol.
    """
    _check(data.records)
    axes = [axis["name"] for axis in data.study.space.definition["axes"]]
    return pd.DataFrame([_row(record, data.budget, axes) for record in data.records])


def _check(records: Iterable[TrialRecord]) -> None:
    """Refuse search APs or validation APs of several protocols in one table."""
    known = list(records)
    one_protocol({r.label: r.search_protocol for r in known if r.search_ap})
    one_protocol({r.label: r.protocol for r in known if r.ap})


def _row(record: TrialRecord, budget: int, axes: list[str]) -> dict[str, Any]:
    return {
        **{name: getattr(record, name) for name in ("label", "role", "repeat_of", "state", "reason", "seed", "params")},
        "teacher": record.teacher.get("label", ""),
        "over_budget": record.params - budget,
        **{f"params_{name}": count for name, count in part_counts(record.parts).items()},
        "macs": record.macs,
        "latency_predicted": record.latency,
        "size_mb": record.size_mb,
        **{f"search_ap_{level}": record.search_ap.get(level) for level in LEVELS},
        **{f"ap_{level}": record.ap.get(level) for level in LEVELS},
        "landmark_nme": record.landmark.get("nme"),
        **{f"landmark_{key}": record.landmark.get(key) for key in ("failure_rate", "matched", "faces")},
        **{f"speed_{key}": record.speed.get(key) for key in ("fps", "latency_ms", "latency_iqr_ms", "ratio_to_v1")},
        **{f"speed_{key}": record.speed.get(key) for key in ("device", "threads", "size")},
        "epochs": len(record.epochs),
        **{f"seconds_{key}": record.seconds.get(key) for key in ("train", "evaluate", "speed", "total")},
        **{axis: record.configuration.get(axis) for axis in axes},
        "search_protocol": record.search_protocol.get("digest", "") if record.search_ap else "",
        "protocol": record.protocol.get("digest", "") if record.ap else "",
    }


def comparison(data: StudyData) -> pd.DataFrame:
    """Return V1, another teacher, V2 and the best student as text: documented and measured figures.

    Documented figures have separate columns, since their AP is claimed for the official WIDER FACE protocol.

    Raises:
        InputError: the measured APs were not all measured by one protocol.
    """
    shown = data.shown()
    _check(shown.values())
    columns: dict[str, Mapping[str, str]] = {}
    for heading, record in ({"V1": None, "V2": None} | shown).items():
        if heading in ("V1", "V2"):
            columns[f"{heading} documented"] = _documented(heading.lower())
        if record is not None:
            columns[f"{heading} measured"] = _measured(record, data)
    rows = [row for row in _documented("v1") if any(column.get(row, NOTHING) != NOTHING for column in columns.values())]
    return pd.DataFrame(
        {"": rows, **{name: [column.get(row, NOTHING) for row in rows] for name, column in columns.items()}}
    )


def _documented(arch: str) -> dict[str, str]:
    """Return row → text, for all rows of the comparison in order."""
    parts = documented.PART_KEYS[arch]
    v2 = arch == "v2"
    return {
        "parameters": documented.claim(f"{arch}.total").written,
        **{f"· {n}": f"{documented.claim(parts[n]).value:,.0f}" if n in parts else NOTHING for n in PARTS},
        "fewer than V1, %": f"{documented.claim('reduction.total').value:.1f}" if v2 else NOTHING,
        "against budget": NOTHING,
        "model file, MB": f"{documented.claim(f'{arch}.size').value:.1f}",
        "MACs, M": NOTHING,
        **{f"AP {n}, %": documented.claim(f"{arch}.ap.{n}").written.replace("%", "") for n in LISTS},
        "AP mean, %": NOTHING,
        ABOVE_V2: NOTHING,
        ABOVE_SLICES: NOTHING,
        "FPS": documented.claim(f"{arch}.fps").written.removesuffix(" FPS"),
        "FPS against V1": f"{1 + documented.claim('gain.fps').value / 100:.2f} ×" if v2 else "1.00 ×",
        "landmark NME, %": NOTHING,
    }


def _measured(record: TrialRecord, data: StudyData) -> dict[str, str]:
    v1 = count(ARCHS["v1"])
    fewer = None if record.params == v1 else 1 - record.params / v1
    speed, trainings = record.speed, data.trainings(record.label)
    return {
        "parameters": f"{record.params:,}",
        **{f"· {name}": f"{count:,}" for name, count in part_counts(record.parts).items()},
        "fewer than V1, %": minus(percent(fewer)),
        "against budget": signed(record.params, data.budget),
        "model file, MB": f"{record.size_mb:.2f}" if record.size_mb else NOTHING,
        "MACs, M": f"{record.macs / 1e6:,.1f}" if record.macs else NOTHING,
        **{f"AP {level}, %": _over_seeds(trainings, level) for level in LEVELS},
        ABOVE_V2: _above(record, data.named("v2"), data),
        ABOVE_SLICES: _above(record, data.from_slices, data) if record.inherits else NOTHING,
        "FPS": f"{speed['fps']:.1f}" if speed else NOTHING,
        "FPS against V1": f"{speed['ratio_to_v1']:.2f} ×" if speed else NOTHING,
        "landmark NME, %": landmarks.nme([record.landmark for record in trainings]),
    }


def _over_seeds(trainings: Sequence[TrialRecord], level: str) -> str:
    """Return the mean AP of a network's trainings ± their standard deviation, in %."""
    found = over_seeds(trainings, level)
    return NOTHING if found is None else f"{percent(found[0])}{deviation(found[1])}"


def _above(record: TrialRecord, reference: TrialRecord | None, data: StudyData) -> str:
    """Return by how many points a student's mean AP is above a reference's, with the interval over seeds."""
    if record.role == "teacher" or reference is None or record is reference:
        return NOTHING
    found = gap(data.trainings(record.label), data.trainings(reference.label))
    if found is None:
        return NOTHING
    return f"{points(found[0])}{'' if found[1] is None else ' ' + bounds(found[1], points)}"


def scores(data: StudyData) -> pd.DataFrame:
    """Return one row per candidate that was scored, in the order of scoring, with AP in [0, 1].

    ``epoch_mean`` is the mean search AP after the short list's epoch of training.
    """
    axes = [axis["name"] for axis in data.study.space.definition["axes"]]
    return pd.DataFrame(
        [
            {
                "number": scored.number,
                "params": scored.params,
                **{f"score_{level}": scored.ap.get(level) for level in LEVELS},
                "epoch_mean": listed.ap.get("mean") if (listed := data.shortlist.get(scored.number)) else None,
                "seconds": scored.seconds,
                "reason": scored.reason,
                **{axis: scored.configuration.get(axis) for axis in axes},
            }
            for scored in data.scores
        ]
    )


def trials(data: StudyData) -> pd.DataFrame:
    """Return every network trained to the end, as text: candidates by rank, then teacher, references and repeats."""
    _check(data.records)
    rows = [(str(rank), record) for rank, record in enumerate(data.ranked, start=1)]
    unscored = [r for r in data.candidates("complete") if r.search_ap.get("mean") is None]
    rows += [(NOTHING, record) for record in unscored]
    outside = [r for r in data.records if r.role != "candidate" and r.state == "complete"]
    rows += [(f"other seed of {r.repeat_of}" if r.repeat_of else r.role, r) for r in outside]
    return pd.DataFrame([_trial(rank, record, data) for rank, record in rows])


def _trial(rank: str, record: TrialRecord, data: StudyData) -> dict[str, str]:
    return {
        "rank": rank,
        "trial": record.label,
        **{f"search AP {level}, %": percent(record.search_ap.get(level)) for level in ("mean", *LISTS)},
        "parameters": f"{record.params:,}",
        "against budget": signed(record.params, data.budget),
        "FPS / V1": f"{record.speed['ratio_to_v1']:.2f}" if record.speed else NOTHING,
        **({PREDICTED: _ratio(record.latency)} if data.study.config.predicts_latency else {}),
        "what differs from V2": difference_from_v2(record, data),
    }


def front_members(data: StudyData) -> pd.DataFrame:
    """Return the members of a study's Pareto front, highest search AP first, as text; empty for one objective."""
    found = front(data)
    return pd.DataFrame(
        [
            {
                "trial": f"{record.label}{', the knee' if record is found.knee else ''}",
                "search AP mean, %": percent(record.search_ap["mean"]),
                "parameters": f"{record.params:,}",
                **_latencies(record, data),
                "what differs from V2": difference_from_v2(record, data),
            }
            for record in found.members
        ]
        if found is not None
        else []
    )


def _latencies(record: TrialRecord, data: StudyData) -> dict[str, str]:
    """Return a network's predicted and measured latency relative to V1's, where the study predicts latencies."""
    if not data.study.config.predicts_latency:
        return {}
    measured = 1 / record.speed["ratio_to_v1"] if record.speed else None
    return {PREDICTED: _ratio(record.latency), "latency / V1, measured": _ratio(measured)}


def _ratio(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def difference_from_v2(record: TrialRecord, data: StudyData) -> str:
    """Return the parts, options and distillation values that are not ``v2``'s and the study's own, as text."""
    named = [name for name, arch in ARCHS.items() if name != "v2" and arch.to_dict() == record.arch]
    if named:
        return f"the arch `{named[0]}`"
    found = []
    staged = record.arch.get("backbone", {}).get("name") == MOBILENET_STAGES.name
    v2 = in_stages(ARCHS["v2"]) if staged else ARCHS["v2"]
    for slot, base in v2.parts().items():
        options = dict(record.arch.get(slot, {}))
        name = options.pop("name", base.name)
        if name != base.name:
            inside = ", ".join(f"{key}={value}" for key, value in sorted(options.items()))
            found.append(f"{slot}={name}({inside})" if inside else f"{slot}={name}")
        else:
            usual = base.option_dict()
            found += [f"{slot}.{key}={value}" for key, value in sorted(options.items()) if usual.get(key) != value]
    usual_train, usual_distill = asdict(data.study.config.train), asdict(data.study.config.distill)
    if record.role != "teacher":
        found += [f"train.{key}={value}" for key, value in record.train.items() if usual_train.get(key) != value]
    if record.role != "teacher" and not record.distill:
        found.append("no teacher")
    for key, value in sorted(record.distill.items()):
        if usual_distill.get(key) != value:
            found.append(f"distill.{key}={value:g}")
    return "; ".join(found) or "nothing"


def repeats(data: StudyData) -> pd.DataFrame:
    """Return the networks that were trained more than once, with the mean APs of all their trainings, as text."""
    return pd.DataFrame(
        [
            {
                "network": label,
                "trainings": str(len(trainings)),
                "search AP mean, %": _spread(means(r.search_ap for r in trainings)),
                "validation AP mean, %": _spread(means(r.ap for r in trainings)),
            }
            for label, trainings in repeated(data).items()
        ]
    )


def _spread(values: list[float]) -> str:
    """Return mean, standard deviation and every value of some APs."""
    if not values:
        return NOTHING
    return f"{percent(fmean(values))}{deviation(spread(values))} ({', '.join(map(percent, values))})"


def unfinished(data: StudyData) -> pd.DataFrame:
    """Return the networks that were not trained to the end, each with its reason, as text."""
    rows = [r for r in data.records if r.state != "complete"]
    return pd.DataFrame(
        [
            {
                "trial": r.label,
                "state": r.state,
                "epochs": str(len(r.epochs)),
                "last search AP mean, %": percent((r.epochs[-1].get("ap") or {}).get("mean") if r.epochs else None),
                "parameters": f"{r.params:,}",
                "reason": r.reason or ("interrupted, or still running" if r.state == "running" else NOTHING),
            }
            for r in rows
        ]
    )


def timing(data: StudyData) -> pd.DataFrame:
    """Return the study's time by purpose, as text; empty if it has not been written."""
    spent = dict(data.study.standing.timing)
    teacher = data.teacher.seconds.get("total") if data.teacher is not None else None
    if spent and teacher:
        spent["teacher"] = teacher
    if spent and data.sharing:
        spent["sharing"] = sum(epoch.get("seconds", 0.0) for epoch in data.sharing)
    if spent and data.scores:
        spent["scores"] = sum(scored.seconds for scored in data.scores)
    if spent and data.shortlist:
        spent["shortlist"] = sum(scored.seconds for scored in data.shortlist.values())
    read = data.teacher is not None and data.teacher.read_from
    names = {
        "teacher": "teacher, evaluated" if read else "teacher, trained before the workers start",
        "sharing": "training of the shared weights",
        "scores": "scores of the candidates",
        "shortlist": "short list, an epoch each",
        "train": "training",
        "evaluate": "evaluation",
        "speed": "speed measurement",
        "total": "wall clock of the study",
    }
    return pd.DataFrame([{"": names[key], "seconds": f"{spent[key]:,.1f}"} for key in names if key in spent])


def terminal_table(study_folder: Path) -> Table:
    """Return the V1 / V2 / best table of a study folder for the terminal, with its main finding below.

    Raises:
        DataError: the study's files are missing or broken.
        InputError: the APs were not all measured by one protocol.
    """
    data = load(study_folder)
    frame = comparison(data).rename(columns=lambda name: "\n".join(name.rsplit(" ", 1)))
    title = f"{data.study.name}: V1, V2 and the best student"
    below = [*findings(data)[:1], f"{DOCUMENTED} The report says how each row was measured."]
    styles = {str(name): "dim" if "documented" in str(name) else "" for name in frame.columns}
    styles |= {name: "bold" for name in styles if name.startswith("best")}
    return terminal(frame, styles, title=title, caption="\n".join(below).replace("`", ""), caption_justify="left")
