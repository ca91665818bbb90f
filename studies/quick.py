"""A tiny study that runs every step within a minute; its results are meaningless."""

from harness.core.data import DataConfig
from harness.core.evaluation import SpeedConfig
from harness.core.protocol import StudyConfig
from harness.core.training import TrainConfig

STUDY = StudyConfig(
    name="quick",
    description="Every step of a study at toy size, under a minute; its numbers mean nothing",
    space="v2_light",
    data=DataConfig(size=64, train_images=32, search_images=24, val_images=24),
    train=TrainConfig(epochs=2, batch=8),
    teacher=TrainConfig(epochs=2, batch=8),
    speed=SpeedConfig(size=64, runs=3, warmup=1),
    trials=4,
)
