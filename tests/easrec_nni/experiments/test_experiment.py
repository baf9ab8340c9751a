"""Reports of trials without a result, and the error if no trial has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from easrec_nni.common.errors import UserError
from easrec_nni.experiments.experiment import Trial, best_trial, check_results


def test_trials_without_a_result_are_named_with_their_last_error(tmp_path: Path) -> None:
    (tmp_path / "trial.stderr").write_text("Traceback\nRuntimeError: no memory\n\n")
    done = Trial("a", 0, "SUCCEEDED", {}, tmp_path, final={"default": 0.5})
    failed = Trial("b", 1, "FAILED", {}, tmp_path)
    infinite = Trial("c", 2, "SUCCEEDED", {}, Path("gone"), final={"default": float("inf")})
    lines: list[str] = []
    check_results([done, failed, infinite], lines.append)
    assert lines == [
        f"trial 1 has no result: RuntimeError: no memory (see {tmp_path})",
        "trial 2 has no result: SUCCEEDED (see gone)",
    ]
    assert best_trial([failed, infinite, done]) is done
    lines.clear()
    with pytest.raises(UserError, match="no trial ended with a result"):
        check_results([failed, infinite], lines.append, lambda trial: f"cell {trial.id}")
    assert [line.split(" has")[0] for line in lines] == ["cell b", "cell c"]
