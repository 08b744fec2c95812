"""The baseline before networks: support vector machines on single pixels."""
