"""Every registered part over its options: closed form, forward, gradients, refusals."""

import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace

import pytest
import torch

from harness.core.arch import ARCHS, MOBILENET_STAGES, SLOTS, ArchConfig, OptionValue, Part, part
from harness.counting import tree
from harness.errors import InputError
from harness.models.builder import build, registries, validate
from harness.models.costs import costs, count_parts
from harness.models.modules.part import Component, Cost, Levels, Misfit, Option, flag
from harness.models.registry import Entry, Registry
from harness.models.wiring import component, resolve

_PLAIN = replace(ARCHS["v2"], context=part("none"), shuffle=part("none"))
"""An architecture in which every part of every slot can stand: nothing after the neck restricts its channels."""


def _parts(entry: Entry[Component], values: Callable[[Option], Iterable[OptionValue]]) -> Iterator[Part]:
    names = [option.name for option in entry.item.options]
    for chosen in itertools.product(*(values(option) for option in entry.item.options)):
        yield Part(entry.name, tuple(zip(names, chosen, strict=True)))


def _with(chosen: Part, **changes: OptionValue) -> Part:
    return Part(chosen.name, tuple({**chosen.option_dict(), **changes}.items()))


def _grid(slot: str) -> Iterator[Part]:
    """Yield every combination of listed values and each integer's smallest, then single larger integers.

    The smallest are four, or two if a part has so many integers that four would take minutes.
    """
    for entry in registries[slot]:
        few = sum(not option.values for option in entry.item.options) < 4

        def smallest(option: Option, most: int = 4 if few else 2) -> Iterable[OptionValue]:
            return option.values or range(option.low, option.low + most)

        yield from _parts(entry, smallest)
        for lowest in _parts(entry, lambda option: option.values or (option.low,)):
            yield from (
                _with(lowest, **{option.name: value})
                for option in entry.item.options
                for value in (16, 37)
                if not option.values and option.accepts(value)
            )


def _hosts(slot: str) -> list[ArchConfig]:
    """Architectures to put a slot's parts into, with necks of several widths for parts after the neck."""
    if slot in ("backbone", "attention", "neck"):
        return [_PLAIN]
    return [replace(_PLAIN, neck=part("bifpn", channels=c, repeats=1)) for c in (24, 32, 74)]


def _buildable(arch: ArchConfig) -> bool:
    try:
        validate(arch)
    except InputError:
        return False
    return True


@pytest.mark.parametrize("slot", SLOTS)
def test_closed_form_equals_numel_over_the_option_grid(slot: str) -> None:
    built = set()
    for host, chosen in itertools.product(_hosts(slot), _grid(slot)):
        arch = replace(host, **{slot: chosen})
        if not _buildable(arch):
            continue
        step = resolve(arch)[slot]
        with torch.device("meta"):
            module = step.component.module(*([] if step.inputs is None else [step.inputs]), **step.options)
        assert count_parts(arch)[slot] == sum(p.numel() for p in module.parameters()), arch
        assert costs(arch)[slot].buffers == sum(b.numel() for b in module.buffers()), arch
        built.add(chosen.name)
    assert built == {entry.name for entry in registries[slot]}


_TRIED = 64
"""How many integers above an option's lowest are tried until one can be built."""


def _variants(slot: str, entries: Iterable[Entry[Component]]) -> Iterator[Part]:
    """Yield each entry with every combination of its listed values, and with two values of each integer option.

    The integers are the smallest that can be built. What cannot be built at all is left out here, and reported by
    ``_not_varied``.
    """
    for entry in entries:
        for lowest in _parts(entry, lambda option: option.values or (option.low,)):
            integers = [option for option in entry.item.options if not option.values]

            def buildable(changes: Mapping[str, Iterable[int]], base: Part = lowest) -> Iterator[Part]:
                for values in itertools.product(*changes.values()):
                    chosen = _with(base, **dict(zip(changes, values, strict=True)))
                    if _buildable(replace(_PLAIN, **{slot: chosen})):
                        yield chosen

            base = next(buildable({o.name: range(o.low, o.low + _TRIED) for o in integers}), None)
            if base is None:
                continue
            yield base
            for option in integers:
                above = int(base.option_dict()[option.name]) + 1
                yield from itertools.islice(buildable({option.name: range(above, above + _TRIED)}, base), 1)


def _not_varied(entries: Iterable[Entry[Component]], variants: Iterable[Part]) -> list[str]:
    """Return entries without a variant, and options of which a listed value or a second integer is missing."""
    shown: dict[str, list[Part]] = {}
    for chosen in variants:
        shown.setdefault(chosen.name, []).append(chosen)
    missing = []
    for entry in entries:
        if entry.name not in shown:
            missing.append(entry.name)
            continue
        for option in entry.item.options:
            values = {chosen.option_dict()[option.name] for chosen in shown[entry.name]}
            if len(values) < 2 or not values >= set(option.values):
                missing.append(f"{entry.name}.{option.name}")
    return missing


VARIANTS = [(slot, chosen) for slot in SLOTS for chosen in _variants(slot, registries[slot])]
"""Every registered part with every option varied, derived from the registries."""


@pytest.mark.parametrize("slot", SLOTS)
def test_variants_show_every_entry_and_vary_every_option(slot: str) -> None:
    assert {chosen.name for where, chosen in VARIANTS if where == slot} == {entry.name for entry in registries[slot]}
    # Two slots may share a registry, and an option may fit only one of them.
    shown = [chosen for where, chosen in VARIANTS if registries[where] is registries[slot]]
    assert _not_varied(registries[slot], shown) == []


class _Ratio(torch.nn.Module):
    """A part with an integer and a flag."""

    def __init__(self, inputs: Levels, *, ratio: int, deep: bool) -> None:
        super().__init__()
        self.options = inputs, ratio, deep

    @staticmethod
    def cost(inputs: Levels, positions: Levels, *, ratio: int, deep: bool) -> Cost:  # noqa: ARG004
        return Cost()


@pytest.mark.parametrize(
    ("name", "fitting", "missing"),
    [
        ("any", range(10, 100), []),
        ("some", range(48, 100, 16), []),
        ("one", (10,), ["one.ratio"]),
        ("never", (), ["never"]),
    ],
)
def test_a_new_part_is_varied_or_noticed(
    name: str, fitting: Container[int], missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def misfit(inputs: Levels, *, ratio: int, deep: bool) -> Misfit | None:  # noqa: ARG001
        return None if ratio in fitting else Misfit("ratio", "does not fit")

    shelf: Registry[Component] = Registry("context")
    options = (Option("ratio", "a ratio", low=10), flag("deep", "depth"))
    shelf.add(name, Component(_Ratio, _Ratio.cost, options, misfit), "a part", "this test")
    monkeypatch.setitem(registries, "context", shelf)
    assert _not_varied(shelf, _variants("context", shelf)) == missing


def _bias_before_norm(name: str, arch: ArchConfig) -> bool:
    """Biases that a BatchNorm straight after them takes away again; only `bifpn` has such."""
    return arch.neck.name == "bifpn" and name.startswith("neck.") and name.endswith(("conv.bias", "pointwise.bias"))


@pytest.mark.parametrize(("slot", "chosen"), VARIANTS, ids=str)
def test_params_and_macs_equal_those_of_a_real_pass(slot: str, chosen: Part) -> None:
    arch = replace(_PLAIN, **{slot: chosen})
    found = {part.name: (part.params, part.macs) for part in tree(arch, 97, 70).children}
    assert found == {slot: (cost.params, cost.macs) for slot, cost in costs(arch, 97, 70).items()}


@pytest.mark.parametrize(("slot", "chosen"), VARIANTS, ids=str)
def test_forward_is_finite_and_every_parameter_learns(slot: str, chosen: Part) -> None:
    arch = replace(_PLAIN, **{slot: chosen})
    unmoved: set[str] | None = None
    for seed in range(10):
        torch.manual_seed(seed)
        detector = build(arch)
        output = detector.raw(torch.randn(2, 3, 72, 56))
        outputs = (output.boxes, output.classes, output.landmarks)
        assert all(bool(tensor.isfinite().all()) for tensor in outputs)
        # A random projection: a plain sum cannot be moved by what precedes a BatchNorm.
        torch.autograd.backward([(tensor * torch.randn_like(tensor)).sum() for tensor in outputs])
        still = set()
        for name, parameter in detector.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name
            if not parameter.grad.any() and not _bias_before_norm(name, arch):
                still.add(name)
        unmoved = still if unmoved is None else unmoved & still
        if not unmoved:
            break
    assert unmoved == set()


def test_biases_before_a_norm_are_the_only_ones_that_do_nothing() -> None:
    torch.manual_seed(0)
    detector = build(ARCHS["v1"]).double()
    output = detector.raw(torch.randn(2, 3, 96, 96, dtype=torch.float64))
    torch.autograd.backward((output.boxes * torch.randn_like(output.boxes)).sum())
    biases = {
        name: float(parameter.grad.abs().max())
        for name, parameter in detector.named_parameters()
        if _bias_before_norm(name, ARCHS["v1"]) and parameter.grad is not None
    }
    assert len(biases) == 5 + 2 * 4
    assert max(biases.values()) < 1e-9


@pytest.mark.parametrize("slot", SLOTS)
def test_entries_say_what_they_are(slot: str) -> None:
    for entry in registries[slot]:
        assert entry.description
        assert entry.source
        assert all(option.meaning and option.accepted() for option in entry.item.options)


V2 = ARCHS["v2"]


@pytest.mark.parametrize(
    ("slot", "chosen", "message"),
    [
        ("neck", part("bifpnn", channels=32, repeats=2), "unknown neck 'bifpnn'; did you mean 'bifpn'?"),
        ("attention", part("se", reduction=8, shared_gate=True), "unknown option of attention=se: 'shared_gate'"),
        ("attention", part("eca", reduction=8), "unknown option of attention=eca: 'reduction'"),
        ("attention", part("se"), "attention=se needs the option 'reduction'"),
        ("attention", part("se", reduction=0), "attention.reduction=0 is not accepted by se"),
        ("attention", part("se", reduction=True), "attention.reduction=True is not accepted by se"),
        ("attention", part("se", reduction=8.0), "attention.reduction=8.0 is not accepted by se"),
        (
            "attention",
            part("cbam_plus", reduction=32, shared_gate=True),
            "attention.shared_gate=True needs two levels with the same number of channels, "
            "they have 64, 128, 256; allowed: False",
        ),
        ("backbone", part("mobilenetv1", width=0.3), "allowed: 0.125, 0.25, 0.5, 0.75, 1.0"),
        (
            "backbone",
            _with(MOBILENET_STAGES, width_p3=7),
            "backbone.width_p3=7 is not accepted by mobilenetv1_stages; allowed: an integer from 8 to 1,024",
        ),
        (
            "neck",
            part("bifpn_light", channels=32, repeats=2, depthwise=True, reduction_factor=3),
            "neck.reduction_factor=3 must divide the 32 channels; allowed: 1, 2, 4, 8, 16, 32",
        ),
        (
            "neck",
            part("bifpn_light", channels=32, repeats=2, depthwise=False, reduction_factor=2),
            "neck.reduction_factor=2 needs the pointwise convolution that depthwise=False leaves out; allowed: 1",
        ),
        (
            "context",
            part("ssh_grouped", groups=3, reduction=2),
            "context.groups=3 must divide the channels of every grouped convolution (16, 8); allowed: 1, 2, 4, 8",
        ),
        (
            "context",
            part("ssh_grouped", groups=4, reduction=3),
            "context.reduction=3 must divide half of the 32 channels; allowed: 0, 1, 2, 4, 8, 16",
        ),
        ("shuffle", part("shuffle", groups=32), "allowed: 2, 4, 8, 16"),
        ("shuffle", part("shuffle", groups=1), "shuffle.groups=1 is not accepted by shuffle"),
        (
            "shuffle",
            part("shuffle_conv", groups=5),
            "shuffle.groups=5 must divide half of the 32 channels; allowed: 1, 2, 4, 8, 16",
        ),
        ("head", part("shared_multi", trunk=False, per_level=True), "allowed: none, conv, depthwise"),
    ],
)
def test_what_cannot_be_built_is_named(slot: str, chosen: Part, message: str) -> None:
    with pytest.raises(InputError) as refused:
        validate(replace(V2, **{slot: chosen}))
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("channels", "changes", "message"),
    [
        (74, {}, "splits every level into quarters, but the neck has 74 channels, no multiple of 4"),
        (
            74,
            {"context": part("ssh_deform")},
            "splits every level into quarters, but the neck has 74 channels, no multiple of 4",
        ),
        (
            37,
            {"context": part("none"), "shuffle": part("shuffle_depthwise")},
            "shuffle=shuffle_depthwise halves every level, but the neck has 37 channels, an odd number",
        ),
        (37, {"context": part("none")}, "halves every level, but the neck has 37 channels, an odd number"),
        (
            37,
            {
                "context": part("none"),
                "shuffle": part("none"),
                "head": part("shared_multi", trunk="conv", per_level=True),
            },
            "head.trunk=conv halves every level, but the neck has 37 channels, an odd number; allowed: none",
        ),
        (
            37,
            {"context": part("none"), "shuffle": part("shuffle", groups=2)},
            "allowed: no value; choose another shuffle",
        ),
    ],
)
def test_widths_that_do_not_divide_are_named(channels: int, changes: dict[str, Part], message: str) -> None:
    neck = part("bifpn", channels=channels, repeats=1)
    with pytest.raises(InputError) as refused:
        validate(replace(V2, neck=neck, **changes))
    assert message in str(refused.value)


def _refusal(arch: ArchConfig) -> str:
    try:
        validate(arch)
    except InputError as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize("slot", SLOTS)
def test_allowed_values_are_exactly_those_that_fit(slot: str) -> None:
    """A refusal of an option lists a value if and only if the option with that value is refused no more."""
    for host, chosen in itertools.product(_hosts(slot), _grid(slot)):
        key, _, listed = _refusal(replace(host, **{slot: chosen})).partition("; allowed: ")
        name = key.partition("=")[0].partition(".")[2]
        option = component(slot, chosen).option(name)
        if option is None or "no value" in listed:
            continue
        for value in option.values or range(option.low, 80):
            again = _refusal(replace(host, **{slot: _with(chosen, **{name: value})}))
            assert (str(value) in listed.split(", ")) != again.startswith(f"{slot}.{name}="), (key, value)


def test_a_component_reads_exactly_its_options() -> None:
    def cost(*, ratio: int) -> Cost:
        return Cost(ratio)

    with pytest.raises(ValueError, match="are declared"):
        Component(torch.nn.Identity, cost, (Option("reduction", "a ratio"),))


def test_a_part_without_a_closed_form_is_refused() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'cost'"):
        Component(torch.nn.Identity)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="not a callable"):
        Component(torch.nn.Identity, None)  # type: ignore[arg-type]


def test_a_name_is_registered_once_and_with_its_source() -> None:
    shelf: Registry[int] = Registry("thing")
    shelf.add("one", 1, "the first", "arithmetic")
    with pytest.raises(ValueError, match="registered already"):
        shelf.add("one", 1, "again", "arithmetic")
    with pytest.raises(ValueError, match="needs a description and a source"):
        shelf.add("two", 2, "", "arithmetic")
