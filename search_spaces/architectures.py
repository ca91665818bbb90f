"""``architectures``: the networks of ``v2_light``; how they are taught is the study's choice, the same for all."""

from dataclasses import replace

from search_spaces import v2_light

SPACE = replace(
    v2_light.SPACE.architectures(),
    name="architectures",
    description="attention, neck, context, shuffle and head around the documented student; one distillation for all",
)
