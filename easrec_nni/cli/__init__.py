"""Command line ``easrec``; each command has a file here and an entry in `easrec_nni.cli.main.COMMANDS`."""
