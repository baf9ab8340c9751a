"""Output folder of a resumable run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json, write_json
from easrec_nni.common.run_files import ARCHITECTURE_FILE, JUDGEMENT_FILE, METRICS_FILE

__all__ = ["RunFolder", "identity_digest"]


# The first two say that a run is complete; front.json and architectures.csv are of an elastic search.
RESULTS = (METRICS_FILE, ARCHITECTURE_FILE, JUDGEMENT_FILE, "front.json", "architectures.csv")
CHECKPOINT_PARTS = {"pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states"}


@dataclass(frozen=True)
class RunFolder:
    """Output folder of a resumable run: identity, state and results.

    Attributes
    ----------
    path
        Path of the folder.
    identity
        Everything that determines the result, as recorded at the start of the run.
    """

    path: Path
    identity: dict[str, Any]

    @classmethod
    def open(
        cls, path: str | Path, identity: dict[str, Any], restart: bool = False, later: Collection[str] = ()
    ) -> RunFolder:
        """Open the folder for a new run, or to resume the same run.

        Parameters
        ----------
        path
            Path of the folder, created if missing.
        identity
            Everything that determines the result; a folder with a run of another identity is refused.
        restart
            Whether to delete an existing run and start over.
        later
            Keys of the identity that earlier versions did not record: a run that lacks one is the same run.

        Raises
        ------
        UserError
            The folder holds a run with other settings.
        """
        folder = cls(Path(path), identity)
        if folder.note.is_file() and not restart:
            return folder._resumed(later)
        folder._clear()
        folder._claim()
        return folder

    @property
    def state(self) -> Path:
        """Folder of checkpoint, history and best weights."""
        return self.path / "state"

    @property
    def note(self) -> Path:
        """File that records the identity."""
        return self.state / "request.json"

    def _resumed(self, later: Collection[str]) -> RunFolder:
        """Folder with the recorded identity; raises if it belongs to another run."""
        recorded = _read_note(self.note)
        missing = set(later) - recorded["request"].keys()
        identity = {key: value for key, value in self.identity.items() if key not in missing}
        if recorded["sha256"] != identity_digest(identity):
            changed = sorted(
                key
                for key in recorded["request"].keys() | identity.keys()
                if _canonical(recorded["request"].get(key)) != _canonical(identity.get(key))
            )
            raise UserError(
                f"{self.path} holds a run with other settings ({', '.join(changed)} differ): choose another --out, "
                "or pass --restart to start over"
            )
        for part in self.state.glob(".*.part"):  # unfinished files of a run that was killed
            part.unlink(missing_ok=True)
        return replace(self, identity=identity)

    def _clear(self) -> None:
        """Delete state and results of an earlier run."""
        for stale in [*self.state.glob("*"), *(self.path / name for name in RESULTS)]:
            if stale.is_file():
                stale.unlink()

    def _claim(self) -> None:
        """Record the identity."""
        document = {"sha256": identity_digest(self.identity), "request": json.loads(_canonical(self.identity))}
        write_json(self.note, document)

    @property
    def checkpoint(self) -> Path | None:
        """Checkpoint to resume from, if there is one.

        Raises
        ------
        UserError
            The file is damaged or not a checkpoint. It is loaded with ``weights_only``, so that none of it is executed.
        """
        path = self.state / "last.ckpt"
        if not path.is_file():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            is_valid = isinstance(state, dict) and CHECKPOINT_PARTS <= state.keys()
        except Exception:  # a damaged file may raise anything
            is_valid = False
        if not is_valid:
            raise UserError(f"{path} is damaged or not a checkpoint of a run: pass --restart to start over")
        return path


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def identity_digest(identity: dict[str, Any]) -> str:
    """SHA-256 of a run's identity, as hexadecimal digits."""
    return hashlib.sha256(_canonical(identity).encode()).hexdigest()


def _read_note(note: Path) -> dict[str, Any]:
    try:
        document = read_json(note)
        if isinstance(document["sha256"], str) and isinstance(document["request"], dict):
            return dict(document)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(
        f"{note} is damaged, so the run cannot be identified: choose another --out, or pass --restart to start over"
    )
