"""The interchangeable parts, one file a family, and the registries that name them."""

from harness.modules.attention import ATTENTIONS
from harness.modules.backbone import BACKBONES
from harness.modules.context import CONTEXTS
from harness.modules.head import HEADS
from harness.modules.neck import NECKS
from harness.modules.shuffle import SHUFFLES

__all__ = ["ATTENTIONS", "BACKBONES", "CONTEXTS", "HEADS", "NECKS", "SHUFFLES"]
