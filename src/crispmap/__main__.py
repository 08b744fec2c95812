"""The command as a module: ``python -m crispmap``."""

from crispmap.cli.main import main

main()
