"""`unmask`, and `python -m unmask`."""

import os
import signal

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the command line; Ctrl-C while it is imported ends the process without a traceback."""
    interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # `nohup` ignores it
    if interrupts:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from unmask.cli import main as run  # slow, so the handler is set before

    if interrupts:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
