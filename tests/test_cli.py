"""What every entry point shares, where it is not seen through one of them."""

import subprocess
import sys


def test_a_reader_that_goes_away_ends_the_command_without_a_traceback() -> None:
    script = "import sys; from harness import cli; cli.run(lambda _: [print('x' * 4_000_000), 0][1])"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert (process.wait(60), errors) == (1, "")
