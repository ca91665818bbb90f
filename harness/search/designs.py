"""The designs of an ablation: which networks are trained, and which differences between them are tested."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from harness.core.ablation import Arm, Difference
from harness.core.arch import ARCHS, SLOTS, OptionValue
from harness.core.arch import part as part_named
from harness.core.arms import ALL, EXCHANGED, exchanged, varied
from harness.core.hypotheses import HYPOTHESES
from harness.core.numbers import integer
from harness.core.space import Choice, SearchSpace
from harness.counting.combinations import Chosen, buildable
from harness.errors import InputError, unknown_name
from harness.models.builder import validate

Asked = tuple[tuple[Arm, ...], tuple[Difference, ...]]
"""Networks, and differences between them."""


def ladder() -> Asked:
    """Return V1 and V2 and two ladders between them.

    Forward, V1's parts are exchanged for V2's in the order of the forward pass. Backward, V2's are exchanged for V1's,
    each time the first one without which the rest can be built. So every part is exchanged twice, among other parts.
    """
    known, down = buildable(), [frozenset(EXCHANGED)]
    while down[-1]:
        smaller = (down[-1] - {part} for part in EXCHANGED if part in down[-1])
        down.append(next(parts for parts in smaller if parts in known))
    up = [frozenset(EXCHANGED[:step]) for step in range(len(EXCHANGED) + 1)]
    steps = [*((b, a) for a, b in pairwise(up)), *pairwise(down)]
    return _between([*up, *reversed(down)], [*steps, (up[-1], up[0])])


def leave_one_out() -> Asked:
    """Return V2, and V2 with one part of V1's, for every part.

    V1's neck gets V2's number of channels, without which V2's context and shuffle cannot be built.
    """
    whole = exchanged(EXCHANGED)
    arms = {part: exchanged([rest for rest in EXCHANGED if rest != part]) for part in EXCHANGED}
    wide, channels = arms["neck"].arch.neck, whole.arch.neck.option_dict()["channels"]
    narrow = part_named(wide.name, **{**wide.option_dict(), "channels": channels})
    arms["neck"] = replace(arms["neck"], arch=replace(arms["neck"].arch, neck=narrow))
    differences = tuple(Difference(whole.label, arm.label, part) for part, arm in arms.items())
    return (whole, *arms.values()), differences


def factorial() -> Asked:
    """Return every combination of V1's and V2's parts that can be built, and every exchange of one part."""
    known = list(buildable())
    steps = [(parts, parts - {part}) for parts in known for part in EXCHANGED if part in parts]
    return _between(known, [(a, b) for a, b in steps if b in known])


def grid(given: Sequence[str]) -> Asked:
    """Return V2, and every combination of some axes' values in V2, each compared with V2.

    Args:
        given: axes with their values, as ``context.groups=1,2,4``.

    Raises:
        InputError: an axis or value is unknown, or a combination cannot be built.
    """
    axes = tuple(_axis(one) for one in given)
    space = SearchSpace("grid", "", ARCHS["v2"], axes)
    arms = {arm.arch: arm for arm in (varied("v2", configuration) for configuration in space.enumerate())}
    for arch in arms:
        validate(arch)
    base = exchanged(EXCHANGED)
    others = [arm for arch, arm in arms.items() if arch != base.arch]
    if not others:
        raise InputError(f"--grid {' '.join(given)} holds nothing but V2: give other values")
    changes = (Difference(arm.label, base.label, arm.label.removeprefix("v2-")) for arm in others)
    return (base, *others), tuple(changes)


def hypotheses(names: Sequence[str]) -> Asked:
    """Return the networks and differences of the hypotheses called ``names``, or of all.

    Raises:
        InputError: there is no such hypothesis; the message lists the known ones.
    """
    for name in names:
        if name not in HYPOTHESES:
            raise unknown_name("hypothesis", name, HYPOTHESES)
    chosen = [HYPOTHESES[name] for name in names or HYPOTHESES]
    arms = {arm.label: arm for one in chosen for arm in one.arms}
    return tuple(arms.values()), tuple(difference for one in chosen for difference in one.differences)


def looks(seeds: int, most: int | None) -> tuple[int, ...]:
    """Return the numbers of seeds after which differences are tested: ``seeds``, twice as many, …, at last ``most``.

    Raises:
        InputError: ``most`` is smaller than ``seeds``.
    """
    if most is not None and most < seeds:
        raise InputError(f"--max-seeds must be at least the number of seeds, {seeds}, got {most}")
    return (*range(seeds, most or seeds, seeds), most or seeds)


def _between(known: Iterable[Chosen], steps: Iterable[tuple[Chosen, Chosen]]) -> Asked:
    """Return the networks of combinations, and differences between two of them; the first has more of V2's parts."""
    arms = {parts: exchanged(parts) for parts in known}
    changed = ((a, b, a - b) for a, b in dict.fromkeys(steps))
    return tuple(arms.values()), tuple(
        Difference(arms[a].label, arms[b].label, ALL if len(change) > 1 else min(change)) for a, b, change in changed
    )


def _axis(given: str) -> Choice:
    name, equals, values = given.partition("=")
    if not equals or not values:
        raise InputError(f"--grid takes axes with values, as context.groups=1,2,4, got '{given}'")
    if name.partition(".")[0] not in SLOTS:
        raise InputError(
            f"--grid varies what is built: '{name}' must be SLOT.OPTION with SLOT one of {', '.join(SLOTS)}"
        )
    return Choice(name, tuple(_value(text) for text in values.split(",")))


def _value(text: str) -> OptionValue:
    words = {"true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return integer(text)
    except ValueError:
        return text
