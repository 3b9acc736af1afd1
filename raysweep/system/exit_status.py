"""The exit statuses of the command line, by which a script or a job controller decides what to do next."""

DONE = 0  # Every stage has finished, and no work remains.
BAD_INPUT = 2  # A configuration, a file or a folder is refused. The same command would fail again.
WORK_REMAINS = 3  # Some work is left, also after SIGTERM. Repeating the same command continues it.
INTERRUPTED = 130  # The user pressed Ctrl-C (128 + SIGINT), or Ctrl-C's signal was sent.
OUTPUT_CLOSED = (
    141  # The program that read the output has ended (128 + SIGPIPE), as in `--help | head`.
)
