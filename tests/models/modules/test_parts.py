"""Every registered part over its options: closed form, forward, gradients, refusals."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from harness.core.arch import ARCHS, SLOTS, ArchConfig, OptionValue, Part, part
from harness.counting import tree
from harness.errors import InputError
from harness.models.builder import build, registries, validate
from harness.models.costs import costs, count_parts, macs
from harness.models.modules.part import Component, Cost, Option
from harness.models.registry import Registry
from harness.models.wiring import resolve

_INTEGERS: dict[str, tuple[int, ...]] = {
    "channels": (4, 12, 24, 32, 74),
    "repeats": (1, 2, 3),
    "reduction_factor": (1, 2, 4),
    "reduction": (0, 1, 2, 4, 16, 48),
    "groups": (1, 2, 3, 4, 37),
}
"""Values to try where an option takes any integer."""


def _values(option: Option) -> tuple[OptionValue, ...]:
    return option.values or tuple(v for v in _INTEGERS[option.name] if option.accepts(v))


def _grid(slot: str) -> Iterator[Part]:
    for entry in registries[slot]:
        names = [option.name for option in entry.item.options]
        for values in itertools.product(*(_values(option) for option in entry.item.options)):
            yield Part(entry.name, tuple(zip(names, values, strict=True)))


def _hosts(slot: str) -> list[ArchConfig]:
    """Architectures to put a slot's parts into, with necks of several widths where the part meets the neck."""
    plain = replace(ARCHS["v2"], context=part("none"), shuffle=part("none"))
    if slot in ("backbone", "attention", "neck"):
        return [plain]
    return [replace(plain, neck=part("bifpn", channels=c, repeats=1)) for c in (24, 32, 74)]


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


VARIANTS: list[tuple[str, Part]] = [
    ("backbone", part("mobilenetv1", width=0.125)),
    *(
        (slot, chosen)
        for slot in ("attention", "neck_attention")
        for chosen in (
            part("none"),
            part("cbam", reduction=8),
            part("cbam_plus", reduction=8, shared_gate=False),
            part("se", reduction=8),
            part("eca"),
        )
    ),
    ("neck_attention", part("cbam_plus", reduction=8, shared_gate=True)),
    ("neck", part("bifpn", channels=32, repeats=2)),
    ("neck", part("bifpn_light", channels=32, repeats=1, depthwise=True, reduction_factor=1)),
    ("neck", part("bifpn_light", channels=32, repeats=2, depthwise=True, reduction_factor=4)),
    ("neck", part("bifpn_light", channels=32, repeats=1, depthwise=False, reduction_factor=1)),
    ("context", part("none")),
    ("context", part("conv3x3")),
    ("context", part("ssh")),
    ("context", part("ssh_deform")),
    ("context", part("ssh_grouped", groups=2, reduction=0)),
    ("context", part("ssh_grouped", groups=4, reduction=2)),
    ("shuffle", part("none")),
    ("shuffle", part("shuffle", groups=4)),
    ("shuffle", part("shuffle_conv", groups=4)),
    ("shuffle", part("shuffle_depthwise")),
    ("head", part("separate")),
    *(
        ("head", part("shared_multi", trunk=trunk, per_level=per_level))
        for trunk in ("none", "conv", "depthwise")
        for per_level in (False, True)
    ),
]


def test_variants_cover_every_entry() -> None:
    for slot in SLOTS:
        assert {chosen.name for where, chosen in VARIANTS if where == slot} == {e.name for e in registries[slot]}


def _bias_before_norm(name: str, arch: ArchConfig) -> bool:
    """Biases that a BatchNorm straight after them takes away again; only `bifpn` has such."""
    return arch.neck.name == "bifpn" and name.startswith("neck.") and name.endswith(("conv.bias", "pointwise.bias"))


@pytest.mark.parametrize(("slot", "chosen"), VARIANTS, ids=str)
def test_multiply_adds_equal_those_of_a_real_pass(slot: str, chosen: Part) -> None:
    arch = replace(ARCHS["v2"], **{slot: chosen})
    assert {part.name: part.macs for part in tree(arch, 97, 70).children} == macs(arch, 97, 70)


@pytest.mark.parametrize(("slot", "chosen"), VARIANTS, ids=str)
def test_forward_is_finite_and_every_parameter_learns(slot: str, chosen: Part) -> None:
    arch = replace(ARCHS["v2"], **{slot: chosen})
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
            "attention.shared_gate=True no two levels have the same width (64, 128, 256); allowed: False",
        ),
        ("backbone", part("mobilenetv1", width=0.3), "allowed: 0.125, 0.25, 0.5, 0.75, 1.0"),
        (
            "neck",
            part("bifpn_light", channels=32, repeats=2, depthwise=True, reduction_factor=3),
            "neck.reduction_factor=3 must divide the 32 channels; allowed: 1, 2, 4, 8, 16, 32",
        ),
        (
            "neck",
            part("bifpn_light", channels=32, repeats=2, depthwise=False, reduction_factor=2),
            "neck.reduction_factor=2 depthwise=False has no pointwise convolution to factor; allowed: 1",
        ),
        (
            "context",
            part("ssh_grouped", groups=3, reduction=2),
            "context.groups=3 must divide the widths it meets (16, 8); allowed: 1, 2, 4, 8",
        ),
        (
            "context",
            part("ssh_grouped", groups=4, reduction=3),
            "context.reduction=3 twice the reduction must divide the 32 channels; allowed: 0, 1, 2, 4, 8, 16",
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
        (74, {}, "splits its level into quarters, and 74 neck channels are no multiple of 4"),
        (
            74,
            {"context": part("ssh_deform")},
            "splits its level into quarters, and 74 neck channels are no multiple of 4",
        ),
        (
            37,
            {"context": part("none"), "shuffle": part("shuffle_depthwise")},
            "shuffle=shuffle_depthwise halves its level, and 37 neck channels are no multiple of 2",
        ),
        (37, {"context": part("none")}, "halves its level, and 37 neck channels are no multiple of 2"),
        (
            37,
            {
                "context": part("none"),
                "shuffle": part("none"),
                "head": part("shared_multi", trunk="conv", per_level=True),
            },
            "head.trunk=conv halves its level, and 37 channels are odd; allowed: none",
        ),
        (
            37,
            {"context": part("none"), "shuffle": part("shuffle", groups=2)},
            "allowed: nothing: choose another shuffle",
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
def test_allowed_values_are_exactly_those_that_build(slot: str) -> None:
    """What a refusal offers builds, and what it does not offer does not."""
    for host, chosen in itertools.product(_hosts(slot), _grid(slot)):
        refusal = _refusal(replace(host, **{slot: chosen}))
        key, _, listed = refusal.partition("; allowed: ")
        option = key.partition("=")[0].partition(".")[2]
        if option not in ("groups", "reduction", "reduction_factor") or "nothing" in listed:
            continue
        for value in range(1, 80):
            changed = Part(chosen.name, tuple({**chosen.option_dict(), option: value}.items()))
            offered, builds = str(value) in listed.split(", "), _buildable(replace(host, **{slot: changed}))
            # A reduction that fits may still leave groups that do not.
            assert builds == offered or (option == "reduction" and offered), (refusal, value)


def test_a_component_reads_exactly_its_options() -> None:
    def cost(*, ratio: int) -> Cost:
        return Cost(ratio)

    with pytest.raises(ValueError, match="declared are"):
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
