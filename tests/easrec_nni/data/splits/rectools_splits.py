"""RecTools' splitters on a log: ``python rectools_splits.py LOG.npz ANSWERS.npz``."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd


def main(source: str, output: str) -> None:
    from rectools import Columns
    from rectools.dataset import Interactions
    from rectools.model_selection import LastNSplitter, TimeRangeSplitter

    log = np.load(source)
    times = pd.to_datetime(log["times"], unit="s")
    table = pd.DataFrame(
        {Columns.User: log["users"], Columns.Item: log["items"], Columns.Weight: 1.0, Columns.Datetime: times}
    )
    options = {"n_splits": 1, "filter_cold_users": True, "filter_already_seen": False}
    answers = {}

    def note(name: str, splitter: object, rows: pd.DataFrame) -> None:
        train, test, _ = next(iter(splitter.split(Interactions(rows.reset_index(drop=True)))))  # type: ignore[attr-defined]
        answers[f"{name}_train"] = np.array(len(train))
        answers[f"{name}_users"] = rows.iloc[test][Columns.User].to_numpy()
        answers[f"{name}_items"] = rows.iloc[test][Columns.Item].to_numpy()

    # The 31 days before April 1998, and the 22 days from then to the end of the log.
    before = table[table[Columns.Datetime] < "1998-04-01"]
    note("valid", TimeRangeSplitter(test_size="31D", filter_cold_items=True, **options), before)
    note("test", TimeRangeSplitter(test_size="22D", filter_cold_items=True, **options), table)
    # Equal times are in the order of the log.
    ordered = table.assign(**{Columns.Datetime: pd.to_datetime(np.arange(len(table)), unit="s")})
    note("last", LastNSplitter(n=3, filter_cold_items=False, **options), ordered)
    np.savez(output, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
