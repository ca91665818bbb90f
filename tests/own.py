"""A space and a study as a user writes them, in a file outside ``search_spaces/`` and ``studies/``."""

from dataclasses import replace

from harness.core.arch import ARCHS
from harness.core.space import IntRange, SearchSpace
from studies.quick import STUDY as QUICK

SPACE = SearchSpace("necks", "V2 with narrower necks", ARCHS["v2"], (IntRange("neck.channels", 16, 24, 8),))
STUDY = replace(QUICK, name="own", space="necks", trials=1)
