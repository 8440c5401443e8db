"""``python -m tracer1``: the command line."""

from tracer1.cli.main import main

main()
