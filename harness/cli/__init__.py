"""Options, output, progress and exit codes, shared by all entry points.

Exit codes: 0 done; 2 wrong input, nothing was started; 1 the environment failed during the run (disk full, network
down, interrupted). Every message is one line on stderr.
"""

from harness.cli.ending import run
from harness.cli.files import require_picture, require_writable, write_picture
from harness.cli.given import device, protocol, resources, study_name
from harness.cli.options import DATA, EXIT_CODES, TRACKING, Parser, add, add_address, chosen
from harness.cli.output import board_table, emit, show
from harness.cli.progress import Progress

__all__ = [
    "DATA",
    "EXIT_CODES",
    "TRACKING",
    "Parser",
    "Progress",
    "add",
    "add_address",
    "board_table",
    "chosen",
    "device",
    "emit",
    "protocol",
    "require_picture",
    "require_writable",
    "resources",
    "run",
    "show",
    "study_name",
    "write_picture",
]
