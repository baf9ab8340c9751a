"""Folder of a run that can be resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import read_json, write_json

__all__ = ["RunFolder"]


CHECKPOINT_PARTS = {"pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states"}


class RunFolder:
    """Output folder of a run that can be resumed: what it was asked for, its state, its results.

    Parameters
    ----------
    path
        The folder, made if it is not there.
    request
        Everything that decides the result. A folder that holds a run with another request is refused.
    restart
        Forget a run that is there.
    later
        Keys of the request that earlier versions did not note: a run that lacks one is the same run.

    Attributes
    ----------
    request
        As it was noted when the run began.

    Raises
    ------
    UserError
        The folder holds a run with other settings.
    """

    def __init__(
        self, path: str | Path, request: dict[str, Any], restart: bool = False, later: Collection[str] = ()
    ) -> None:
        self.path = Path(path)
        self.state = self.path / "state"
        note = self.state / "request.json"
        known = _read_request(note) if note.is_file() and not restart else None
        if known is not None:
            missing = set(later) - known["request"].keys()
            request = {key: value for key, value in request.items() if key not in missing}
        self.request = request
        text = json.dumps(request, sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()
        if known is not None:
            if known["sha256"] != digest:
                changed = sorted(
                    key
                    for key in known["request"].keys() | request.keys()
                    if json.dumps(known["request"].get(key), sort_keys=True, default=str)
                    != json.dumps(request.get(key), sort_keys=True, default=str)
                )
                raise UserError(
                    f"{self.path} holds a run with other settings ({', '.join(changed)} differ): choose another --out, "
                    "or --restart to begin anew there"
                )
            for part in self.state.glob(".*.part"):  # what a kill cut short; nobody reads it
                part.unlink(missing_ok=True)
            return
        self.state.mkdir(parents=True, exist_ok=True)
        for stale in [*self.state.glob("*"), *(self.path / name for name in ("metrics.json", "architecture.json"))]:
            if stale.is_file():
                stale.unlink()
        write_json(note, {"sha256": digest, "request": json.loads(text)})

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


def _read_request(note: Path) -> dict[str, Any]:
    try:
        known = read_json(note)
        if isinstance(known["sha256"], str) and isinstance(known["request"], dict):
            return dict(known)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(f"{note} is damaged, so that nobody knows which run is there: choose another --out, or --restart")
