"""Command line ``easrec``: a file per command, listed in `easrec_nni.cli.main.COMMANDS`."""
