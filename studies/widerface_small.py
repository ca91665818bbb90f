"""Photographs on two CPU cores in about an hour: a short schedule from a trained backbone. Needs ``--data``."""

from harness.protocol import DataConfig, StudyConfig, TrainConfig

STUDY = StudyConfig(
    name="widerface_small",
    description="Students on WIDER FACE at 320 pixels by a short schedule; an hour on two cores. Needs --data",
    space="v2_light",
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, epoch_images=100),
    train=TrainConfig(epochs=3, batch=16, lr=3e-3),
    teacher=TrainConfig(epochs=10, batch=16, lr=2e-3),
    trials=8,
)
