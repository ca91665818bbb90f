"""What of a Ray cluster can be refused or computed without one."""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core import provenance as origin
from harness.core.provenance import provenance
from harness.errors import InputError
from harness.models import device
from harness.search.cluster import MARK, Cluster, Share, Site, joined

REFUSED = {
    "no cores": (Cluster(cpus=0), None, "cpu", "--cpus-per-trial must be at least 1, got 0"),
    "more threads than cores": (Cluster(cpus=2), 3, "cpu", "3 threads need as many cores, and --cpus-per-trial is 2"),
    "a GPU for the CPU": (Cluster(gpus=0.5), None, "cpu", "--gpus-per-trial needs --device cuda"),
    "two GPUs": (
        Cluster(gpus=2),
        None,
        "cuda",
        "--gpus-per-trial lies in 0.0001 … 1, since a trial uses one",
    ),
    "no share": (Cluster(gpus=0), None, "cuda", "--gpus-per-trial lies in"),
    "not a number": (Cluster(gpus=float("nan")), None, "cuda", "--gpus-per-trial lies in"),
    "a certain GPU": (Cluster(), None, "cuda:1", "--device cuda:1: Ray chooses the GPU of each trial"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_shares_that_no_trial_can_have_are_refused(case: str) -> None:
    cluster, threads, where, message = REFUSED[case]
    with pytest.raises(InputError, match=re.escape(message)):
        cluster.share(threads, where)


def test_shares_and_threads_follow_from_one_another() -> None:
    assert Cluster().share(None, "cpu") == (Share(1, 0.0), 1)
    assert Cluster().share(3, "cpu") == (Share(3, 0.0), 3)
    assert Cluster(cpus=4).share(None, "cpu") == (Share(4, 0.0), 1), "the threads decide the result"
    assert Cluster(cpus=4).share(None, "cuda") == (Share(4, 1.0), 4)
    assert Cluster(cpus=4, gpus=0.1).share(2, "cuda") == (Share(4, 0.1), 2)


def test_a_share_of_a_gpu_lies_on_one_gpu() -> None:
    assert [Share(1, gpus).fits(64, 2) for gpus in (1.0, 0.5, 0.4, 0.1, 0.0)] == [2, 4, 4, 20, 64]
    assert Share(4, 0.1).fits(63, 2) == 15
    assert Share(1, 0.1).fits(64, 0) == 0


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "head:port", ":6379", "auto"])
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="--address is HOST:PORT of the cluster's head"), joined(Cluster(address)):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "127.0.0.1:99999"])
def test_an_address_where_nothing_listens_is_refused_at_once(address: str) -> None:
    said = f"--address: no Ray cluster answers at {re.escape(address)} "
    with pytest.raises(InputError, match=said), joined(Cluster(address)):
        pass


def test_without_ray_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"^ray is not installed: pip install '\.\[ray\]'"), joined(Cluster()):
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir("/")  # Afterwards, the tests go on where they began.
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / MARK).write_text("mark", encoding="utf-8")
    return Site(tmp_path, Path("study"), "mark", provenance(), 640)


def test_a_node_that_sees_the_folder_and_has_the_same_versions_trains(site: Site) -> None:
    assert site.refusal() == ""
    assert Path.cwd() == site.place


def test_a_node_that_sees_another_folder_is_refused(site: Site) -> None:
    for other in (replace(site, mark="other"), replace(site, place=site.place / "x"), replace(site, folder=Path("x"))):
        assert "the folder of the command and --runs must be shared by all nodes" in other.refusal()


def test_a_node_with_other_versions_is_refused(site: Site) -> None:
    versions = site.made.versions | {"torch": "1.0"}
    own = site.made.versions["torch"]
    said = f"has torch {own}, not 1.0: all nodes need the versions of the searching process"
    assert replace(site, made=replace(site.made, versions=versions)).refusal() == said


def test_a_node_of_another_precision_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another processor is taken if it computes in the same precision."""
    monkeypatch.setattr(origin, "_cpu", lambda: "another processor")
    monkeypatch.setattr(device, "has_bfloat16", lambda _: False)
    provenance.cache_clear()
    assert site.refusal() == ""
    monkeypatch.setattr(device, "has_bfloat16", lambda _: True)
    said = "computes in bfloat16 (another processor), the study in float32: take nodes of one kind"
    assert site.refusal() == said
    provenance.cache_clear()
