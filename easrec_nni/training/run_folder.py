"""Folder of a run that can be resumed."""

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

__all__ = ["RunFolder"]


RESULTS = ("metrics.json", "architecture.json")  # each says that a run is complete
CHECKPOINT_PARTS = {"pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states"}


@dataclass(frozen=True)
class RunFolder:
    """Output folder of a run that can be resumed: its identity, its state, its results.

    Attributes
    ----------
    path
        The folder.
    identity
        Everything that decides the result, as it was noted when the run began.
    """

    path: Path
    identity: dict[str, Any]

    @classmethod
    def open(
        cls, path: str | Path, identity: dict[str, Any], restart: bool = False, later: Collection[str] = ()
    ) -> RunFolder:
        """Folder of a new run, or of the same run that was begun there before.

        Parameters
        ----------
        path
            The folder, made if it is not there.
        identity
            Everything that decides the result. A folder that holds a run with another identity is refused.
        restart
            Whether to remove a run that is there.
        later
            Keys of the identity that earlier versions did not note: a run that lacks one is the same run.

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
        """Folder of the checkpoint, the history and the best weights."""
        return self.path / "state"

    @property
    def note(self) -> Path:
        """File that notes the identity."""
        return self.state / "request.json"

    def _resumed(self, later: Collection[str]) -> RunFolder:
        """The folder with the identity that was noted there; refuses another run."""
        noted = _read_note(self.note)
        missing = set(later) - noted["request"].keys()
        identity = {key: value for key, value in self.identity.items() if key not in missing}
        if noted["sha256"] != _digest(identity):
            changed = sorted(
                key
                for key in noted["request"].keys() | identity.keys()
                if _canonical(noted["request"].get(key)) != _canonical(identity.get(key))
            )
            raise UserError(
                f"{self.path} holds a run with other settings ({', '.join(changed)} differ): choose another --out, "
                "or --restart to begin anew there"
            )
        for part in self.state.glob(".*.part"):  # unfinished files of a run that was killed
            part.unlink(missing_ok=True)
        return replace(self, identity=identity)

    def _clear(self) -> None:
        """Remove what an earlier run left."""
        for stale in [*self.state.glob("*"), *(self.path / name for name in RESULTS)]:
            if stale.is_file():
                stale.unlink()

    def _claim(self) -> None:
        """Note the identity."""
        document = {"sha256": _digest(self.identity), "request": json.loads(_canonical(self.identity))}
        write_json(self.note, document)

    @property
    def checkpoint(self) -> Path | None:
        """Checkpoint to resume from, if there is one.

        Raises
        ------
        UserError
            The file is damaged, or no checkpoint; nothing that it holds is executed to find out.
        """
        path = self.state / "last.ckpt"
        if not path.is_file():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            whole = isinstance(state, dict) and CHECKPOINT_PARTS <= state.keys()
        except Exception:  # torch raises whatever comes of what the file holds
            whole = False
        if not whole:
            raise UserError(f"{path} is damaged or no checkpoint of a run: --restart begins anew there")
        return path


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _digest(identity: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(identity).encode()).hexdigest()


def _read_note(note: Path) -> dict[str, Any]:
    try:
        document = read_json(note)
        if isinstance(document["sha256"], str) and isinstance(document["request"], dict):
            return dict(document)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(f"{note} is damaged, so that nobody knows which run is there: choose another --out, or --restart")
