"""The command ``easrec``; each command has a file here and a line in `easrec_nni.cli.main.COMMANDS`."""
