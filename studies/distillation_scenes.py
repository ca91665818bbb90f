"""Which distillation teaches V2 most on synthetic scenes: every configuration of its space, and V2 alone."""

from dataclasses import replace

from harness.core.protocol import Budget, DataConfig, SpeedConfig, StudyConfig, TrainConfig

_TEACHER = TrainConfig(epochs=12, batch=8, lr=1e-2, clip=35.0, landmark_weight=0.1, evaluate_every=4)

STUDY = StudyConfig(
    name="distillation_scenes",
    description="Distillations of V2 on synthetic scenes at 128 pixels; minutes on two cores",
    space="distillation",
    budget=Budget(max_params=256_156),  # The documented student as it is counted.
    data=DataConfig(size=128, train_images=1_000, search_images=400, val_images=400),
    train=replace(_TEACHER, epochs=4, lr=2e-2, backbone_lr=0.1),
    teacher=_TEACHER,
    speed=SpeedConfig(runs=3, warmup=1),
    trials=16,
    sampler="random",
    pruner="none",
    references=("v2-alone",),
    seeds=3,
)
