"""Names of the files and folders that a search or a retraining leaves."""

from __future__ import annotations

__all__ = [
    "ARCHITECTURE_FILE",
    "HISTORY_FILE",
    "JUDGEMENT_FILE",
    "METRICS_FILE",
    "RANKS_FILE",
    "REFITTED_FOLDER",
    "RETRAINED_FOLDER",
    "SUPERNET_FILE",
    "WEIGHTS_FILE",
]

ARCHITECTURE_FILE = "architecture.json"
"""Choices, space, costs and training settings."""
WEIGHTS_FILE = "weights.safetensors"
"""Weights of a retrained network."""
SUPERNET_FILE = "supernet.safetensors"
"""Weights of a search's supernet."""
METRICS_FILE = "metrics.json"
"""Figures of a retrained network, written last: its presence means that the run is complete."""
RANKS_FILE = "ranks.npz"
"""Rank of every evaluated user's target."""
HISTORY_FILE = "history.csv"
"""One row for each epoch."""
JUDGEMENT_FILE = "judgement.json"
"""Comparison with the unpruned network."""
RETRAINED_FOLDER = "retrained"
"""Folder of the retraining, in that of a search."""
REFITTED_FOLDER = "refitted"
"""Folder of the network trained on all interactions, in that of a retraining."""
