from __future__ import annotations

import io

from rich.console import Console

from easrec_nni.cli.table_comparison import print_comparison
from easrec_nni.tabular.comparing import compare_with_control


def test_regrets_are_in_their_unit_with_verdicts() -> None:
    control = {seed: 0.05 + 0.001 * (seed % 3) for seed in range(10)}
    better = {seed: value - 0.02 - 0.0005 * (seed % 2) for seed, value in control.items()}
    stream = io.StringIO()
    compared = compare_with_control({"random": control, "easrec\x1b[2J": better, "alone": {0: 0.125}}, "random")
    print_comparison(Console(file=stream, width=120), compared, "regret in %", 100)
    title, _, *rows = [line.split() for line in stream.getvalue().splitlines()]
    assert title == ["regret", "in", "%"]
    assert rows[0][:6] == ["random", "10", "5.09", "5.04", "to", "5.14"]
    assert rows[1][0] == "easrec\\x1b[2J" and rows[1][-1] == "better" and rows[1][6] in ("-2.02", "-2.03")
    assert rows[2] == ["alone", "1", "12.5", "+7.5", "undecided"]  # one seed has neither an interval nor a test
