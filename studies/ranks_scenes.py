"""Candidates trained long on synthetic scenes without a teacher, against which shorter schedules are held.

The same command with ``--epochs N --name NAME`` trains the same candidates with another schedule, and ``python -m
harness.compare`` says how far the two orders agree.
"""

from dataclasses import replace

from harness.core.protocol import DataConfig, DistillConfig, SpeedConfig, StudyConfig, TrainConfig

_TEACHER = TrainConfig(epochs=12, batch=8, lr=1e-2, clip=35.0, landmark_weight=0.1, evaluate_every=4)

STUDY = StudyConfig(
    name="ranks_scenes",
    description="Candidates without a teacher, to compare schedules, on synthetic scenes at 128 pixels",
    space="architectures",
    data=DataConfig(size=128, train_images=1_000, search_images=400, val_images=400),
    train=replace(_TEACHER, epochs=25, lr=2e-2, backbone_lr=0.1, evaluate_every=25),
    teacher=_TEACHER,
    distill=DistillConfig(alpha=0.0),
    speed=SpeedConfig(runs=3, warmup=1),
    trials=8,
    sampler="random",
    pruner="none",
    references=("v2-alone",),
)
