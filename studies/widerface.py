"""WIDER FACE at 320 pixels; ``--data`` gives the folder of a copy."""

from harness.core.protocol import DataConfig, StudyConfig, TrainConfig

STUDY = StudyConfig(
    name="widerface",
    description="Students under the documented budget on WIDER FACE at 320 pixels; hours on a GPU. Needs --data",
    space="v2_light",
    data=DataConfig(
        source="widerface",
        size=320,
        train_images=0,
        val_images=0,
        # The difference in mean AP of two networks has a standard error below one point:
        # benchmarks/results/search_split.json.
        search_images=1_000,
        eval_side=640,
        landmark_images=500,
    ),
    train=TrainConfig(epochs=12),
    teacher=TrainConfig(epochs=40, ema=0.999, patience=10),
    trials=40,
    references=("v2", "v2-alone"),
)
