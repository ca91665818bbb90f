"""One evaluation as text for the terminal, and as a picture of precision against recall."""

from typing import TYPE_CHECKING, Any

from harness.data.truth import LISTS
from harness.evaluation.run import Evaluation
from harness.reporting import landmarks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE_LETTERS = 60


def text_of(evaluation: Evaluation) -> str:
    """Return the AP as a table, then landmark error, protocol and time."""
    result = evaluation.result
    cells = {name: "–" if value is None else f"{100 * value:.2f}" for name, value in result.to_dict().items()}
    lines = [
        evaluation.name,
        f"{'':8}" + "".join(f"{name:>9}" for name in cells),
        f"{'AP, %':8}" + "".join(f"{text:>9}" for text in cells.values()),
        f"{'faces':8}" + "".join(f"{count:>9,}" for count in result.listed.values()),
        *_landmarks(evaluation.details.get("landmark", {})),
        "protocol: " + ", ".join(f"{key} {_plain(value)}" for key, value in evaluation.protocol.items()),
        f"evaluated in {evaluation.seconds:.2f} s",
    ]
    return "\n".join(lines)


def _landmarks(error: dict[str, Any]) -> list[str]:
    if not error:
        return []
    share = error["failure_rate"]
    failures = "" if share is None else f"; {100 * share:.1f} % of these have an error above 10 %"
    return [
        f"landmark NME, % of the face's size: {landmarks.cell([error])}{failures}",
        f"  by face height: {landmarks.by_size(error)}",
        f"  {landmarks.interocular(error)}",
    ]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " + ".join(map(_plain, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def draw(evaluation: Evaluation) -> "Figure":
    """Return a picture of precision against recall: one curve per list, its AP and number of faces in the legend."""
    # Imported only for a picture: matplotlib takes longer to load than the evaluation.
    from matplotlib.figure import Figure

    from harness.reporting.style import BLUE, GREEN, VERMILLION

    result, title = evaluation.result, evaluation.name
    figure = Figure(figsize=(5.6, 4.8), layout="constrained")
    axes = figure.subplots()
    for name, colour in zip(LISTS, (BLUE, GREEN, VERMILLION), strict=True):
        value = getattr(result, name)
        if value is None:
            axes.plot([], [], color=colour, label=f"{name}\nno face listed")
        else:
            precision, recall = result.curves[name]
            label = f"{name}\nAP {100 * value:.2f} %\n{result.listed[name]:,} faces"
            # The area starts at recall 0, with the precision at the highest threshold.
            axes.plot([0.0, *recall], [precision[0], *precision], color=colour, linewidth=1.8, label=label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
    shown = title if len(title) <= TITLE_LETTERS else f"…{title[1 - TITLE_LETTERS :]}"
    axes.set_title(f"{shown}\n{result.images:,} images, {result.faces:,} faces", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=len(LISTS), frameon=False, handlelength=1.4)
    return figure
