"""Which schedule teaches V2 most on WIDER FACE images, without a teacher. Needs ``--data`` and trained weights."""

from harness.core.budget import Budget
from harness.core.data import DataConfig
from harness.core.protocol import StudyConfig
from harness.core.training import DistillConfig, TrainConfig

STUDY = StudyConfig(
    name="recipe_widerface",
    description="Schedules for V2 without a teacher on WIDER FACE at 320 pixels; hours on CPU. Needs --data",
    space="recipe",
    budget=Budget(max_params=256_156),  # The documented student as it is counted.
    data=DataConfig(source="widerface", size=320, train_images=0, val_images=0, search_images=700, landmark_images=100),
    train=TrainConfig(epochs=4, batch=4, lr=2e-3, evaluate_every=4),
    distill=DistillConfig(alpha=0.0),
    trials=24,
    pruner="none",
    references=("v2",),
)
