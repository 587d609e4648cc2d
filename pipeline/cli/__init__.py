"""The `darkroom` command: arguments and printing, nothing else."""
