"""Front of an elastic supernet: records and files of ``easrec pareto``."""

from __future__ import annotations

from pathlib import Path

from easrec_nni.common.errors import UserError
from easrec_nni.common.files import atomic_write, write_text
from easrec_nni.common.pareto import pareto_front
from easrec_nni.report.cells import records_csv
from easrec_nni.report.content import Record
from easrec_nni.report.plots.front import front_plot
from easrec_nni.searching.front import Front

__all__ = ["front_records", "write_front_files"]


def front_records(front: Front, key: str) -> list[Record]:
    """Records of a front's architectures, cheapest first, with their shares of the unpruned network.

    Parameters
    ----------
    front
        Evaluated architectures.
    key
        Key of the cost that counts.
    """
    cost = front.unpruned().cost[key]
    best = set(pareto_front([(row.cost[key], front.accuracy(row)) for row in front.architectures]))
    records: list[Record] = [
        {
            "architecture": row.name,
            **row.choice.model_dump(),
            front.figure: front.accuracy(row),
            "share_of_accuracy": front.share_of_accuracy(row),
            key: row.cost[key],
            "share_of_cost": row.cost[key] / cost,
            "pareto": number in best,
        }
        for number, row in enumerate(front.architectures)
    ]
    return sorted(records, key=lambda record: (float(record[key] or 0), -float(record[front.figure] or 0)))


def write_front_files(front: Front, key: str, out: Path) -> list[Path]:
    """Write ``front.csv``, ``front.svg`` and ``front.png`` to a folder; return their paths.

    Raises
    ------
    UserError
        ``out`` is a file, or cannot be written to.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give the name of a folder with --out")
    records = front_records(front, key)
    drawn = front_plot(records, front.figure, key)
    files = [out / f"front.{ending}" for ending in ("csv", "svg", "png")]
    write_text(files[0], records_csv(records))
    write_text(files[1], drawn.svg)
    with atomic_write(files[2]) as temporary:
        temporary.write_bytes(drawn.png)
    return files
