"""Method notes of an ablation's report: how its figures were computed."""

from harness.core.arch import ARCHS
from harness.evaluation.contrasts import ALPHA
from harness.evaluation.stats import CONFIDENCE
from harness.reporting.ablation.counts import Counts
from harness.reporting.ablation.data import AblationData
from harness.reporting.format import counted
from harness.reporting.lock import caption
from harness.reporting.parts import COUNTED
from harness.reporting.study.method import ONE_COPY


def method(data: AblationData, counted_: Counts) -> list[str]:
    """Return how all figures of the report were computed."""
    config, looks = data.study.study.config, data.ablation.looks
    said = [
        "All networks of an ablation are trained alike: images, schedule, augmentation, teacher, initial backbone and "
        "seeds are compared, and a report is refused if any differs.",
        _shapley(counted_),
        "Over seeds: AP is the sum of a network's and a seed's effect and a rest. The variance of the rest is pooled "
        "over all networks, from their first seeds (randomised blocks); Student's t. All networks have the same seeds "
        "and start from the same numbers where their layers agree.",
        f"Over images: paired bootstrap, percentiles of {data.found.resamples:,} resamples of the images.",
        "Verdict: better or worse if neither seeds nor images explain the difference, by the larger of the two "
        f"p-values (Berger, Technometrics 24, 1982), after Holm's correction, at {100 * ALPHA:.0f} % for all "
        "differences together; else tie. The five parts are corrected together, and so are the hypotheses.",
        f"Intervals: {100 * CONFIDENCE:.0f} %, for one difference alone.",
        caption(data.found.protocol, data.found.data_name, "Validation AP"),
        f"Budget: {data.study.bounds}. {COUNTED} MACs at {counted_.size}×{counted_.size} pixels. Latency: V1's FPS "
        "divided by the network's, measured in alternation.",
    ]
    if len(looks) > 1:
        said.append(
            f"Seeds were added to undecided differences, up to {looks[-1]}, after looks at "
            f"{', '.join(map(str, looks))} seeds. Whether a difference is undecided was read from the search split. "
            f"Every p-value is multiplied by the {counted(len(looks), 'look')}, and intervals over seeds are widened "
            "alike, which keeps the error rate under any rule of stopping."
        )
    if config.distill.uses_teacher:
        said.append(f"Distillation from {data.study.study.teacher.label}: α {config.distill.alpha:g}.")
    return said if data.study.synthetic else [*said, ONE_COPY]


def _shapley(counted_: Counts) -> str:
    channels = ARCHS["v2"].neck.option_dict()["channels"]
    refused, built = len(counted_.refused), len(counted_.params)
    return (
        "Shapley value of a part: what its exchange adds, averaged over the orders in which V1's parts can be "
        f"exchanged for V2's. {refused} of the {refused + built} combinations cannot be built: V2's context and "
        f"shuffle need the {channels} channels of V2's neck, since their groups do not divide V1's. {counted_.orders} "
        "orders remain, in which the neck comes before both (Faigle and Kern, International Journal of Game Theory 21, "
        "1992). So what narrower maps save in later parts is the neck's."
    )
