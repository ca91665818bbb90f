"""Training and scoring with shared weights."""

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.core.arch import ARCHS
from harness.core.budget import Budget
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.names import load_space
from harness.core.training import DistillConfig, SharingConfig, TrainConfig
from harness.data import load_split
from harness.data.faces import choose
from harness.detection.losses import multibox_loss
from harness.errors import DataError, InputError
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.inference import predict
from harness.models.builder import build
from harness.models.costs import count
from harness.models.weights import file_digest, read_tensors, save_weights
from harness.training import partway
from harness.training.balanced import Balanced
from harness.training.checkpoint import CHECKPOINT
from harness.training.distill import Distiller
from harness.training.grade import search_ap
from harness.training.imitation import BETWEEN, Imitation, widest_neck
from harness.training.job import WEIGHTS, Job
from harness.training.look import LookJob, look
from harness.training.loop import train
from harness.training.schedule import average_statistics, learning_rate, reset_statistics
from harness.training.score import ScoreJob, Scorer, score
from harness.training.sharing import SharedJob, backward, load_shared, prepare_shared, train_shared
from harness.training.shown import shown
from tests.toy import SEED, THREADS

SPACE = load_space("architectures")
SCHEDULE = TrainConfig(epochs=2, batch=8, backbone_lr=0.5)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "v1.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(1_007)
        save_weights(build(ARCHS["v1"]), path)
    return path


@pytest.fixture
def of_all(tmp_path: Path, cache: Path, teacher: Path) -> SharedJob:
    job = Job(
        label="shared weights",
        arch=SPACE.base,
        seed=SEED,
        train=SCHEDULE,
        data=DataConfig(size=64, train_images=16, search_images=8, val_images=8),
        evaluation=EvalConfig(),
        folder=tmp_path / "shared",
        cache=cache,
        distill=DistillConfig(),
        teacher=teacher,
        teacher_arch=ARCHS["v1"],
        init_backbone=teacher,
        threads=THREADS,
    )
    return SharedJob(job, SPACE, Budget(), SharingConfig(SCHEDULE, candidates=3, calibration=2, tuning=4))


def go_on(_: dict[str, Any]) -> bool:
    return True


def test_balanced_draws_fit_and_have_rare_widths_more_often() -> None:
    sampler, rng = Balanced(SPACE, Budget()), np.random.default_rng(0)
    drawn = sampler.draw(rng, 3_000)
    assert max(map(count, drawn)) <= Budget().max_params
    widths = Counter(dict(arch.neck.options)["channels"] for arch in drawn)
    assert set(widths) == {24, 28, 32, 36, 40, 44, 48}
    assert min(widths.values()) > 0.03 * len(drawn), "of uniform draws, one in a hundred has 48 channels"
    assert sampler.draw(np.random.default_rng(0), 20) == drawn[:20]


def test_the_imitation_is_zero_for_equal_maps_and_one_for_the_mean() -> None:
    imitation = Imitation(widest=8, width=4)
    theirs = {slot: tuple(torch.randn(2, 4, s, s) for s in (8, 4, 2)) for slot in BETWEEN}
    for adapters in imitation.adapters.values():
        for adapter in adapters:  # type: ignore[attr-defined]
            nn.init.zeros_(adapter.weight)
            nn.init.zeros_(adapter.bias)
            adapter.weight.data[:, :4, 0, 0] = torch.eye(4)
    assert imitation.loss(theirs, theirs).item() == pytest.approx(0, abs=1e-6)  # type: ignore[arg-type]
    flat = {slot: tuple(torch.zeros_like(image) for image in maps) for slot, maps in theirs.items()}
    centred = {slot: tuple(image - image.mean() for image in maps) for slot, maps in theirs.items()}
    assert imitation.loss(flat, centred).item() == pytest.approx(1, rel=0.05)  # type: ignore[arg-type]


@pytest.mark.trains
def test_a_step_adds_the_mean_gradient_of_its_networks(of_all: SharedJob) -> None:
    """The backbone runs once for all networks; each network alone, on a detector of its own, has the same gradient."""
    setup = prepare_shared(of_all)
    rng = np.random.default_rng(3)
    networks = setup.sampler.draw(rng, 3)
    images, targets, _ = next(iter(shown(setup.feed, 1)))
    backward(setup, networks, images, targets)
    found = {name: tensor.grad.clone() for name, tensor in setup.trained.items() if tensor.grad is not None}
    for tensor in setup.trained.values():
        tensor.grad = None
    for network in networks:
        backward(setup, [network], images, targets)
    for name, gradient in found.items():
        separate = setup.trained[name].grad
        assert separate is not None
        # Float32 is a few percent off where terms cancel, more or less by processor; a network too few, a third.
        assert (3 * gradient - separate).norm() <= 0.1 * separate.norm() + 1e-5, name


@pytest.mark.trains
def test_the_loss_is_that_of_a_student_with_these_weights(of_all: SharedJob) -> None:
    setup = prepare_shared(replace(of_all, config=replace(of_all.config, imitation=0.0)))
    images, targets, _ = next(iter(shown(setup.feed, 1)))
    terms = backward(setup, [ARCHS["v2"]], images, targets)
    student = setup.weights.take(ARCHS["v2"]).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    output = student.raw(images)
    truth = multibox_loss(output, targets, setup.feed.priors, SCHEDULE)
    with torch.no_grad():
        taught = setup.teacher.raw(images)
    loss, imitated = Distiller(setup.teacher, student, DistillConfig()).loss(output, taught, truth)
    for name, value in (truth.terms | imitated | {"total": loss}).items():
        assert terms[name].item() == pytest.approx(value.item(), rel=1e-3), name


@pytest.mark.trains
@pytest.mark.parametrize("within", [False, True])
def test_an_interrupted_training_ends_with_the_same_weights(
    within: bool, of_all: SharedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its first epoch of two steps, or within it."""
    monkeypatch.setattr(partway, "EVERY", -1.0)
    history = train_shared(of_all, go_on)
    assert [info["epoch"] for info in history] == [1, 2]
    assert {"class", "box", "landmark", "distill_class", "maps", "total"} <= set(history[0]["losses"])
    other = replace(of_all, job=replace(of_all.job, folder=tmp_path / "other"))

    class _Stop(Exception):  # noqa: N818
        pass

    def stop(_: dict[str, Any]) -> bool:
        raise _Stop

    def stop_in_step(step: int, _: int) -> None:
        if within and step == 2:
            raise _Stop

    with pytest.raises(_Stop):
        train_shared(other, stop, stop_in_step)
    steps: list[int] = []
    again = train_shared(other, go_on, lambda step, _: steps.append(step))
    assert steps == ([2, 3, 4] if within else [3, 4])
    assert [info["losses"] for info in again] == [info["losses"] for info in history]
    assert file_digest(other.job.folder / WEIGHTS) == file_digest(of_all.job.folder / WEIGHTS)
    changed = replace(other, config=replace(other.config, candidates=2))
    (other.job.folder / CHECKPOINT).write_bytes(b"broken")
    assert train_shared(other, go_on) != []
    assert file_digest(other.job.folder / WEIGHTS) == file_digest(of_all.job.folder / WEIGHTS)
    before = (other.job.folder / CHECKPOINT).read_bytes()
    train_shared(changed, go_on)
    assert (other.job.folder / f"{CHECKPOINT}.unusable").read_bytes() == before, "that of another training"


@pytest.mark.trains
def test_every_tensor_that_was_sampled_has_moved_and_no_other(of_all: SharedJob) -> None:
    before = {name: value.detach().clone() for name, value in prepare_shared(of_all).weights.tensors.items()}
    train_shared(of_all, go_on)
    after = read_tensors(of_all.job.folder / WEIGHTS)
    sampler, steps = Balanced(SPACE, Budget()), 2 * SCHEDULE.epochs
    weights = load_shared(SPACE, of_all.job.folder / WEIGHTS)
    sampled = set()
    for step in range(steps):
        rng = np.random.default_rng((SEED, step))
        for network in sampler.draw(rng, 3):
            slices = weights.slices(network)
            pointers = {value.data_ptr() for of in slices.values() for value in of.values()}
            sampled |= {name for name, tensor in weights.tensors.items() if tensor.data_ptr() in pointers}
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved <= sampled
    assert {name for name in sampled if before[name].ndim > 1} <= moved


@pytest.mark.trains
def test_a_scored_network_has_its_slices_tuned_behind_a_backbone_that_stays(of_all: SharedJob) -> None:
    """The same steps by plain means: the whole network runs in every step, and each parameter has its own update."""
    config = replace(of_all.config, tuning=3, tuning_lr=1e-4)
    train_shared(of_all, go_on)
    scorer = Scorer(replace(of_all, config=config), of_all.job.folder / WEIGHTS)
    feed = prepare_shared(of_all).feed
    teacher = prepare_shared(of_all).teacher
    for arch in Balanced(SPACE, Budget()).draw(np.random.default_rng(1), 2):
        start = load_shared(SPACE, of_all.job.folder / WEIGHTS).take(arch)
        network = copy.deepcopy(start).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        average_statistics(network)
        batches = [*shown(feed, 1), *shown(feed, 2)][:3]
        with torch.no_grad():
            for images, _, _ in batches[: config.calibration]:
                network.backbone(images)
        network.backbone.requires_grad_(False).eval()
        trained = {name: p for name, p in network.named_parameters() if p.requires_grad}
        groups = [
            {
                "params": [p for p in trained.values() if (p.ndim > 1) == decays],
                "weight_decay": SCHEDULE.weight_decay * decays,
            }
            for decays in (False, True)
        ]
        optimizer = torch.optim.AdamW(groups)
        schedule = replace(SCHEDULE, lr=config.tuning_lr)
        for step, (images, targets, _) in enumerate(batches):
            if step == 1:
                reset_statistics(network)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(schedule, step, 3)
            output = network.raw(images)
            truth = multibox_loss(output, targets, feed.priors, SCHEDULE)
            with torch.no_grad():
                taught = teacher.raw(images)
            loss, _ = Distiller(teacher, network, DistillConfig()).loss(output, taught, truth)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(list(trained.values()), SCHEDULE.clip)
            optimizer.step()
        tuned, before = dict(scorer.network(arch).named_parameters()), dict(start.named_parameters())
        for name, parameter in network.named_parameters():
            if name in trained:
                moved = (parameter - before[name]).abs().median()
                assert (tuned[name] - parameter).abs().median() <= 0.02 * moved + 1e-8, name
            else:
                assert torch.equal(tuned[name], before[name]), name
        for one, other in zip(scorer.network(arch).buffers(), network.buffers(), strict=True):
            torch.testing.assert_close(one, other, rtol=0.02, atol=0.02)


@pytest.mark.trains
def test_without_tuning_only_the_statistics_are_measured(of_all: SharedJob) -> None:
    train_shared(of_all, go_on)
    weights = of_all.job.folder / WEIGHTS
    network = Scorer(replace(of_all, config=replace(of_all.config, tuning=0)), weights).network(ARCHS["v2"])
    start = load_shared(SPACE, weights).take(ARCHS["v2"])
    wanted = copy.deepcopy(start).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    average_statistics(wanted)
    batches = list(shown(prepare_shared(of_all).feed, 1))[: of_all.config.calibration]
    with torch.no_grad():
        for images, _, _ in batches:
            wanted.backbone(images)
        wanted.backbone.eval()
        for images, _, _ in batches:
            wanted.raw(images)
    for (name, one), other in zip(network.named_parameters(), start.parameters(), strict=True):
        assert torch.equal(one, other), name
    for (name, measured), expected in zip(network.named_buffers(), wanted.buffers(), strict=True):
        torch.testing.assert_close(measured, expected, rtol=1e-3, atol=1e-3, msg=name)


@pytest.mark.trains
def test_a_score_is_the_ap_of_that_network_in_any_order(of_all: SharedJob) -> None:
    train_shared(of_all, go_on)
    scorer = Scorer(of_all, of_all.job.folder / WEIGHTS)
    archs = [ARCHS["v2"], *Balanced(SPACE, Budget()).draw(np.random.default_rng(1), 2)]
    scores = [scorer.score(arch) for arch in archs]
    assert [scorer.score(arch) for arch in reversed(archs)] == scores[::-1]
    for arch, found in zip(archs, scores, strict=True):
        for name, value in search_ap(of_all.job, scorer.network(arch)).items():
            assert found[name] == pytest.approx(value, abs=1e-3), (arch, name)


@pytest.mark.trains
def test_scores_behind_several_backbones_are_those_of_each_alone(
    of_all: SharedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Maps of several backbones are remembered, as far as there is room for them."""
    space = load_space("v2_redistributed")
    job = replace(of_all, space=space, job=replace(of_all.job, arch=space.base))
    train_shared(job, go_on)
    archs = [space.base, *Balanced(space, Budget()).draw(np.random.default_rng(2), 2)]
    assert len({arch.backbone for arch in archs}) == 3
    weights = job.job.folder / WEIGHTS
    alone = [Scorer(job, weights).score(arch) for arch in archs]
    for room in (2**30, 0):
        monkeypatch.setattr("harness.training.score._KEPT", room)
        scorer = Scorer(job, weights)
        assert [scorer.score(arch) for arch in (*archs, *archs)] == [*alone, *alone], room


@pytest.mark.trains
def test_a_score_can_read_some_images_at_another_size(of_all: SharedJob) -> None:
    train_shared(of_all, go_on)
    faces = load_split(of_all.job.data, "search", of_all.job.cache)
    few = replace(of_all, config=replace(of_all.config, images=len(faces) - 1, side=96))
    scorer = Scorer(few, of_all.job.folder / WEIGHTS)
    rows = choose(len(faces), len(faces) - 1, 0)
    found = predict(scorer.network(ARCHS["v2"]), faces, EvalConfig(), 96, rows)
    truth = faces.truth().pick(rows.tolist())
    for name, value in evaluate_ap([one[:, :5] for one in found], truth).to_dict().items():
        assert scorer.score(ARCHS["v2"])[name] == pytest.approx(value, abs=1e-3), name


def test_images_of_a_score_without_a_face_of_a_list_are_refused(
    of_all: SharedJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.training.score.choose", lambda *_, **__: np.array([0]))  # No easy face.
    with pytest.raises(DataError, match=r"the images of a score \(1\) hold no face of the list 'easy'"):
        Scorer(replace(of_all, config=replace(of_all.config, images=1)), of_all.job.folder / WEIGHTS)


@pytest.mark.trains
def test_tuned_slices_are_kept_and_a_training_starts_from_them(of_all: SharedJob, tmp_path: Path) -> None:
    train_shared(of_all, go_on)
    weights, kept = of_all.job.folder / WEIGHTS, tmp_path / "trials" / "0007" / "initial.safetensors"
    job = ScoreJob("0007", ARCHS["v2"], of_all, weights, kept)
    assert score(job).ap == {}, "no AP is computed"
    assert score(replace(job, keep=None)).ap == Scorer(of_all, weights).score(ARCHS["v2"])
    assert score(job).seconds > 0
    own = Job(**{**vars(of_all.job), "arch": ARCHS["v2"], "folder": tmp_path / "own", "initial": kept})
    train(replace(own, train=replace(SCHEDULE, epochs=1, lr=1e-12)), go_on)
    start, end = read_tensors(kept), read_tensors(tmp_path / "own" / WEIGHTS)
    for name, value in build(ARCHS["v2"]).named_parameters():
        torch.testing.assert_close(end[name], start[name], rtol=0, atol=1e-9)
        assert start[name].shape == value.shape
    assert own.identity() != replace(own, initial=None).identity()


@pytest.mark.trains
def test_a_look_is_the_training_from_the_tuned_slices(of_all: SharedJob, tmp_path: Path) -> None:
    train_shared(of_all, go_on)
    kept = tmp_path / "slices" / "initial.safetensors"
    slices = ScoreJob("0007", ARCHS["v2"], of_all, of_all.job.folder / WEIGHTS, kept)
    own = replace(of_all.job, arch=ARCHS["v2"], folder=tmp_path / "own", initial=kept)
    found = look(LookJob(slices, own))
    assert not own.folder.exists()
    assert found.ap == train(own, go_on).search_ap
    assert found.seconds > 0


def test_weights_of_another_space_are_refused(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold the shared weights of the space architectures"):
        load_shared(SPACE, teacher)
    with pytest.raises(DataError, match="there is no weights file"):
        load_shared(SPACE, tmp_path / "missing.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"candidates": 0}, "candidates must be positive, got 0"),
        ({"finalists": 0}, "finalists must be positive, got 0"),
        ({"shortlist": 3}, "shortlist must be at least 4, or 0, got 3"),
        ({"tuning": -1}, "tuning must not be negative"),
        ({"tuning_lr": 1.0}, "tuning_lr must lie between 0 and 1"),
        ({"imitation": -1.0}, "imitation must not be negative"),
        ({"train": replace(SCHEDULE, ema=0.9)}, "without ema"),
    ],
)
def test_settings_that_cannot_be_run_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(SharingConfig(SCHEDULE), **change)


def test_the_widest_neck_is_that_of_the_space() -> None:
    assert widest_neck(SPACE) == 48
