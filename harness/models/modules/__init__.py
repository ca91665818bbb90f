"""The interchangeable parts, one file per family, and their registries."""

from harness.models.modules.attention import ATTENTIONS
from harness.models.modules.backbone import BACKBONES
from harness.models.modules.context import CONTEXTS
from harness.models.modules.head import HEADS
from harness.models.modules.neck import NECKS
from harness.models.modules.shuffle import SHUFFLES

__all__ = ["ATTENTIONS", "BACKBONES", "CONTEXTS", "HEADS", "NECKS", "SHUFFLES"]
