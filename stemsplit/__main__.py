"""The program: ``stemsplit``, or ``python -m stemsplit``."""

import gc

#: New objects until the next search for unreachable ones, by default 700 to 2000. The modules that
#: a command imports are many objects that live until it ends: torch's alone are 170 000.
OBJECTS_PER_COLLECTION = 20_000


def run() -> None:
    """Run the program on the arguments of this process, and end the process."""
    gc.set_threshold(OBJECTS_PER_COLLECTION)
    from stemsplit.cli import run_process

    run_process()


if __name__ == "__main__":
    run()
