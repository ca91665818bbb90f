"""``python -m harness.ablate``: which of the changes from V1 to V2 pays, with seeds, intervals and verdicts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness import cli
from harness.core.ablation import Ablation
from harness.core.files import REPORTS
from harness.core.hypotheses import HYPOTHESES
from harness.core.names import load_space
from harness.core.numbers import integer
from harness.core.protocol import StudyConfig
from harness.errors import unknown_name

if TYPE_CHECKING:
    from harness.search.outlook import Outlook

LADDER, LEFT_OUT = "v1_to_v2", "v2"

EXAMPLES = """
Trains networks between V1 and V2 alike (images, schedule, augmentation, seeds), and says which exchange of a part
changes AP, parameters, MACs and latency. First it prints what will be trained, what runs/ has already, and the hours
that this takes. Writes runs/ablation-NAME/report/. Run the same command again to resume; a training that any study in
runs/ has finished is read, not repeated.

examples:
  python -m harness.ablate --plan                       the default ladder: networks, trainings, hours; starts nothing
  python -m harness.ablate                              V1 to V2 one part at a time, and back, on synthetic scenes
  python -m harness.ablate --factorial                  every combination of V1's and V2's parts that can be built
  python -m harness.ablate --leave-one-out v2           V2 with one part of V1's
  python -m harness.ablate --grid context.groups=1,2,4,8 neck.channels=32,48
  python -m harness.ablate --hypotheses                 the documents' claims: supported, refuted or undecided
  python -m harness.ablate --max-seeds 12               more seeds for differences that are undecided
  python -m harness.ablate --study ablation_widerface --data PATH/TO/WIDERFACE --init-backbone BACKBONE.safetensors"""


def main(argv: Sequence[str] | None = None) -> int:
    """Plan and run an ablation, or resume it; print what pays, or one JSON object with ``--json``."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.note and not given.publish:
        parser.error("--note needs --publish")
    config = configure(given)

    # Imported here so that help and refused input answer at once.
    from harness.search.outlook import outlook
    from harness.search.run import run_study

    resources = cli.resources(given, "harness.ablate", argv, config.space)
    if given.publish:
        from harness.reporting.publish import check_target

        check_target(REPORTS / config.name, "shapley", "ablation's report")
    assert config.ablation is not None
    planned = outlook(config, config.ablation, resources)
    if given.plan and given.json:
        cli.emit({"name": config.name, **planned.to_dict()})
        return 0
    if not given.json:
        _show(config, planned)
    if given.plan:
        return 0
    with cli.Progress() as progress:
        report = run_study(config, resources, progress)

    from harness.reporting import publish_report, summary
    from harness.reporting.publish import places

    folder = given.runs / config.name
    published = publish_report(folder, REPORTS, given.note) if given.publish else None
    found = summary(folder)
    if given.json:
        cli.emit(found | {"published": None if published is None else str(published)})
        return 0
    cli.show(*(f"- {sentence}".replace("**", "") for sentence in found["findings"]))
    cli.show(*(places(path) for path in (report, published) if path is not None))
    return 0


def _parser() -> cli.Parser:
    parser = cli.Parser("harness.ablate", "Find out which of the changes from V1 to V2 pays.", EXAMPLES)
    what = parser.add_argument_group("what is compared (one of)").add_mutually_exclusive_group()
    what.add_argument(
        "--ladder",
        nargs="?",
        const=LADDER,
        metavar="NAME",
        help=f"one part at a time, forward and backward: {LADDER} (default)",
    )
    what.add_argument("--leave-one-out", metavar="ARCH", help=f"one part exchanged in {LEFT_OUT}")
    what.add_argument("--factorial", action="store_true", help="every combination of the five parts")
    what.add_argument(
        "--grid", nargs="+", metavar="AXIS=A,B", help="values of some axes in V2, as context.groups=1,2,4"
    )
    what.add_argument(
        "--hypotheses", nargs="*", metavar="NAME", help=f"the documents' claims: {', '.join(HYPOTHESES)} (default: all)"
    )
    how = parser.add_argument_group("how they are trained")
    study = how.add_mutually_exclusive_group()
    study.add_argument(
        "--study",
        metavar="NAME",
        help="study protocol (default: ablation_v1_v2; with --data FOLDER: ablation_widerface)",
    )
    cli.add(study, "--study-file")
    how.add_argument("--name", help="the ablation's name; its folder in --runs is ablation-NAME")
    how.add_argument("--seeds", type=integer, metavar="N", help="trainings per network (default: the study's)")
    how.add_argument(
        "--max-seeds", type=integer, metavar="N", help="trainings at most, for networks of undecided differences"
    )
    cli.add(how, "--data", "--size", "--train-images", "--search-images", "--val-images", "--epochs", "--seed")
    cli.add(how, "--teacher", "--init-backbone")
    where = parser.add_argument_group("where and how it runs")
    where.add_argument("--plan", action="store_true", help="print what would be trained, and start nothing")
    where.add_argument("--publish", action="store_true", help="also write the report to reports/, to be committed")
    cli.add(where, "--note", "--workers")
    cli.add_address(where, "--tracking-uri", cli.TRACKING)
    cli.add(where, "--threads", "--device", "--runs", "--json")
    return parser


def configure(given: Any) -> StudyConfig:
    """Return the study that the arguments describe, with its ablation.

    Raises:
        InputError: a name is unknown, a value is out of range, or the data folder does not exist.
    """
    name, study, data = cli.protocol(given, "ablation_v1_v2", "ablation_widerface")
    study = replace(study, **cli.chosen(given, "seed", "seeds"))
    ablation = _ablation(given, study.seeds)
    load_space(study.space)
    own = given.name or cli.study_name(ablation.kind, name.removeprefix("ablation_"), data)
    return replace(study, name=f"ablation-{own}", trials=0, references=(), sharing=None, ablation=ablation)


def _ablation(given: Any, seeds: int) -> Ablation:
    from harness.search import designs

    if given.ladder not in (None, LADDER):
        raise unknown_name("ladder", given.ladder, [LADDER])
    if given.leave_one_out not in (None, LEFT_OUT):
        raise unknown_name("arch of --leave-one-out", given.leave_one_out, [LEFT_OUT])
    looks = designs.looks(seeds, given.max_seeds)
    if given.leave_one_out:
        return Ablation("leave-one-out", *designs.leave_one_out(), looks)
    if given.factorial:
        return Ablation("factorial", *designs.factorial(), looks)
    if given.grid:
        axes = (one.partition("=")[0] for one in given.grid)
        return Ablation(f"grid-{'-'.join(axes)}", *designs.grid(given.grid), looks)
    if given.hypotheses is not None:
        return Ablation("-".join(("hypotheses", *given.hypotheses)), *designs.hypotheses(given.hypotheses), looks)
    return Ablation("ladder", *designs.ladder(), looks)


def _show(config: StudyConfig, planned: "Outlook") -> None:
    import pandas as pd

    from harness.reporting.format import counted, terminal

    rows = [
        {
            "network": arm.label,
            "parameters": f"{arm.params:,}",
            "MACs": f"{arm.macs:,}",
            "seeds": str(arm.seeds),
            "in runs/": str(arm.known),
            "minutes each": f"{arm.seconds / 60:.1f}",
        }
        for arm in planned.arms
    ]
    more = f", at most {planned.most:,} with further seeds" if planned.most > planned.trainings else ""
    teacher = " and V1, the teacher, unless the harness has it for these images," if planned.teacher_seconds else ""
    cli.show(
        terminal(pd.DataFrame(rows)),
        f"{config.name}: {counted(planned.trainings, 'training')}{more}; {planned.known:,} are in runs/ and are read. "
        f"The others{teacher} take about {planned.hours:.1f} hours on idle cores with "
        f"{counted(planned.workers, 'worker')}.",
    )


if __name__ == "__main__":
    cli.run(main)
