"""`clawtop`, and `python -m clawtop`."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Run the command line; the exit code says how it went."""
    from clawtop.cli.main import run

    code = run(sys.argv[1:])
    gc.freeze()  # the process ends: walking through all that was read once more only keeps the operator waiting
    return code


if __name__ == "__main__":
    sys.exit(main())
