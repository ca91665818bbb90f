"""The designs of an ablation: networks of known size, and the differences between them."""

import pytest
import torch

from harness.core.ablation import Ablation
from harness.core.arch import ARCHS
from harness.core.arms import EXCHANGED, exchanged
from harness.core.hypotheses import HYPOTHESES
from harness.errors import InputError
from harness.models.builder import build
from harness.models.costs import count
from harness.search import designs


def sizes(asked: designs.Asked) -> dict[str, int]:
    arms, changes = asked
    Ablation("test", arms, changes, (3,))  # Labels are unique and known.
    return {arm.label: count(arm.arch) for arm in arms}


def test_the_ladder_has_known_rungs() -> None:
    assert sizes(designs.ladder()) == {
        "v1-arm": 487_103,
        "v1-with-attention": 489_786,
        "v1-with-attention-neck": 276_748,
        "v2-without-shuffle-head": 255_100,
        "v2-without-head": 256_156,
        "v2-arm": 256_156,
        "v1-with-head": 487_103,
        "v1-with-neck-head": 274_695,
        "v2-without-attention-context": 275_751,
        "v2-without-attention": 254_103,
    }
    changes = [one.change for one in designs.ladder()[1]]
    assert changes[:5] == ["attention", "neck", "context", "shuffle", "head"], "forward"
    assert changes[5:10] == ["attention", "context", "shuffle", "neck", "head"], "backward: the neck after its users"
    assert changes[10:] == ["all five"]


def test_one_part_is_left_out_at_a_time() -> None:
    arms, changes = designs.leave_one_out()
    assert sizes((arms, changes)) == {
        "v2-arm": 256_156,
        "v2-without-attention": 254_103,
        "v2-without-neck": 268_476,
        "v2-without-context": 277_804,
        "v2-without-shuffle": 255_100,
        "v2-without-head": 256_156,
    }
    assert {one.a for one in changes} == {"v2-arm"}
    neck = next(arm.arch.neck for arm in arms if arm.label == "v2-without-neck")
    assert neck.to_dict() == {"name": "bifpn", "channels": 32, "repeats": 2}


def test_the_factorial_is_every_combination_that_can_be_built() -> None:
    arms, changes = designs.factorial()
    assert len(arms) == 20
    assert len(changes) == 10 + 4 + 8 + 8 + 10
    assert all(count(arm.arch) for arm in arms)


def test_a_grid_varies_v2() -> None:
    assert sizes(designs.grid(["context.groups=1,4", "head.trunk=none,conv"])) == {
        "v2-arm": 256_156,
        "v2-context-groups-1-head-trunk-none": 266_524,
        "v2-context-groups-1-head-trunk-conv": 278_908,
        "v2-context-groups-4-head-trunk-conv": 268_540,
    }
    assert sizes(designs.grid(["head.per_level=false"])) == {"v2-arm": 256_156, "v2-head-per_level-False": 254_044}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("context.groups", "takes axes with values, as context.groups=1,2,4, got 'context.groups'"),
        ("train.lr=0.1", "SLOT.OPTION with SLOT one of backbone, attention"),
        ("context.groups=3", "context.groups=3 must divide"),
        ("context.gruops=2", "unknown option of context=ssh_grouped: 'gruops'; did you mean 'groups'"),
        ("context.groups=4", "holds nothing but V2"),
        ("context.groups=2,2", "no value twice"),
        (f"context.groups={5_000 * '9'}", "context"),
        ("context.groups=٢", "context"),
    ],
)
def test_a_grid_that_cannot_be_built_is_refused(given: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        designs.grid([given])


def test_hypotheses_share_their_networks() -> None:
    arms, changes = designs.hypotheses([])
    assert len(arms) == 14
    assert len(changes) == sum(len(one.others) for one in HYPOTHESES.values()) == 11
    assert sizes(designs.hypotheses(["cbam_plus"])) == {"v1-with-attention": 489_786, "v1-arm": 487_103}
    with pytest.raises(InputError, match="unknown hypothesis 'groups_5'; did you mean 'groups_4'"):
        designs.hypotheses(["groups_5"])


def test_the_claimed_networks_are_those_of_the_documents() -> None:
    claimed = {name: one.claimed.arch for name, one in HYPOTHESES.items()}
    assert claimed["channels_32"] == claimed["groups_4"] == claimed["reduction_32"] == ARCHS["v2"]
    assert claimed["shared_heads"].head == ARCHS["v2_as_written"].head
    assert (HYPOTHESES["cbam_plus"].kept, HYPOTHESES["bifpn_light"].kept) == (0.95, 0.97)


def test_looks_double_and_end_at_the_most() -> None:
    assert designs.looks(3, None) == (3,)
    assert designs.looks(3, 3) == (3,)
    assert designs.looks(3, 9) == (3, 6, 9)
    assert designs.looks(2, 5) == (2, 4, 5)
    with pytest.raises(InputError, match="--max-seeds must be at least the number of seeds, 3, got 2"):
        designs.looks(3, 2)


def test_the_counted_heads_of_v2_compute_what_those_of_v1_do() -> None:
    """Exchanging the head is a comparison of a network with itself: its parameters have other names only."""
    whole, without = (exchanged(parts).arch for parts in (EXCHANGED, EXCHANGED[:-1]))
    one, other = build(whole).eval(), build(without).eval()
    other.load_state_dict(dict(zip(other.state_dict(), one.state_dict().values(), strict=True)))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(one(image), other(image), strict=True))
