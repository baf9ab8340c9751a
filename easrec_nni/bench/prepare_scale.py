"""How preparing, opening and the first batch of training grow with the log, from a million interactions on.

The floor is DuckDB alone, which reads the same Parquet file, numbers users and items, sorts by user and time, and
writes the result. Floor and ``prepare`` take turns, each in a process of its own, with the same memory and threads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb

from easrec_nni.bench.measurement import Bench, Figures, Measurement
from easrec_nni.bench.memory import peak_memory_bytes
from easrec_nni.bench.repeats import in_turns, ratio, seconds_of, spread, timed
from easrec_nni.bench.scaling import fitted_slope
from easrec_nni.bench.tables import format_figure
from easrec_nni.common.readable import readable_bytes
from easrec_nni.common.threads import available_threads
from easrec_nni.data import PrepareSettings, load_dataset, prepare
from easrec_nni.data.batches.modes import Mode
from easrec_nni.data.batches.training import TrainingBatches
from easrec_nni.data.engine import memory_bytes, quoted
from easrec_nni.data.reporting import LogReporter
from easrec_nni.data.sources.large_log import LargeLog

__all__ = ["MEASUREMENT", "draw_log", "measure_floor", "measure_opening", "measure_prepare"]

SIZES, QUICK_SIZES = (1_000_000, 2_000_000, 10_000_000, 100_000_000), (2_000, 6_000)
INTERACTIONS_PER_USER, INTERACTIONS_PER_ITEM = 10, 100
MEMORY = "4GB"
EVALUATED_USERS = 100_000
MODES: tuple[Mode, ...] = ("causal", "augmented")
LENGTH, BATCH = 50, 256


def draw_log(log: str, interactions: int) -> Figures:
    """Draw a log and write it as Parquet; its size and sizes of the catalogue."""
    drawn = LargeLog(interactions, interactions // INTERACTIONS_PER_USER, interactions // INTERACTIONS_PER_ITEM)
    drawn.write(Path(log))
    return {"users": drawn.users, "items": drawn.items, "log_bytes": Path(log).stat().st_size}


def measure_floor(log: str, folder: str) -> Figures:
    """Seconds, memory and bytes of DuckDB alone.

    Parameters
    ----------
    log
        Parquet file of :class:`~easrec_nni.data.sources.large_log.LargeLog`.
    folder
        Empty folder for the result and for what does not fit into memory.
    """
    out = Path(folder) / "sorted.parquet"
    figures = _measured(lambda: _floor(Path(log), out))
    return figures | {"bytes_on_disk": out.stat().st_size}


def _floor(log: Path, out: Path) -> None:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{memory_bytes(MEMORY)}B",
        "temp_directory": str(out.parent / "spill"),
        "threads": available_threads(),
    }
    with duckdb.connect(str(out.parent / "floor.duckdb"), config=settings) as connection:
        read = f"read_parquet({quoted(str(log))})"
        for role in ("user", "item"):
            connection.execute(
                f"CREATE TABLE {role}s AS SELECT {role}_id, (row_number() OVER ())::INTEGER AS {role} "
                f"FROM (SELECT DISTINCT {role}_id FROM {read})"
            )
        connection.execute(
            f'COPY (SELECT "user", item, "timestamp" FROM {read} JOIN users USING (user_id) JOIN items USING (item_id) '
            f'ORDER BY "user", "timestamp") TO {quoted(str(out))} (FORMAT parquet)'
        )


def measure_prepare(log: str, folder: str) -> Figures:
    """Seconds, memory and bytes of ``prepare``.

    Parameters
    ----------
    log
        As for :func:`measure_floor`.
    folder
        Folder of the dataset; a dataset that lies there is replaced.
    """
    settings = PrepareSettings(evaluate_users=EVALUATED_USERS)
    spill = Path(folder).parent
    figures = _measured(
        lambda: prepare(log, folder, settings=settings, force=True, memory=MEMORY, spill=spill, reporter=LogReporter())
    )
    return figures | {"bytes_on_disk": sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())}


def measure_opening(folder: str, mode: Mode) -> Figures:
    """Seconds until a prepared dataset is open, and from then on until an epoch's first batch is there; memory.

    Parameters
    ----------
    folder
        Folder of the dataset.
    mode
        How sequences are trained.
    """
    opening = seconds_of(lambda: load_dataset(Path(folder)))
    dataset = load_dataset(Path(folder))
    first = _measured(lambda: next(iter(TrainingBatches(dataset, LENGTH, BATCH, mode, seed=0))))
    return {
        "opening_seconds": opening,
        "first_batch_seconds": first["seconds"],
        "peak_memory_bytes": first["peak_memory_bytes"],
    }


def _measured(work: Callable[[], object]) -> Figures:
    return {**timed(work), "peak_memory_bytes": peak_memory_bytes()}


def _measure(bench: Bench) -> Figures:
    sizes = bench.request.sizes or (QUICK_SIZES if bench.request.quick else SIZES)
    rows = [_row(bench, interactions) for interactions in sizes]
    points = {
        name: [(row["interactions"], row[f"{name}_seconds"]["median"]) for row in rows]
        for name in ("floor", "prepare", "floor_processor", "prepare_processor")
    }
    return {
        "memory": MEMORY,
        "evaluated_users": EVALUATED_USERS,
        "max_length": LENGTH,
        "batch_size": BATCH,
        "rows": rows,
        "slopes": {name: fitted_slope(each) for name, each in points.items()},
    }


def _row(bench: Bench, interactions: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="easrec-scale-") as folder:
        log, out = str(Path(folder) / "log.parquet"), str(Path(folder) / "prepared")
        drawn = bench.in_own_process(draw_log, log=log, interactions=interactions)
        turns = in_turns(
            {
                "floor": partial(_in_empty_folder, bench, folder, log),
                "prepare": partial(bench.in_own_process, measure_prepare, log=log, folder=out),
            },
            bench.repeats,
            warmup=0,
        )
        opened = {
            mode: [bench.in_own_process(measure_opening, folder=out, mode=mode) for _ in range(bench.repeats)]
            for mode in MODES
        }
    seconds = {name: [turn["seconds"] for turn in each] for name, each in turns.items()}
    processor = {name: [turn["processor_seconds"] for turn in each] for name, each in turns.items()}
    figures: Figures = {"interactions": interactions, **drawn}
    for name, each in turns.items():
        figures[f"{name}_seconds"] = spread(seconds[name])
        figures[f"{name}_processor_seconds"] = spread(processor[name])
        figures[f"{name}_peak_memory_bytes"] = max(turn["peak_memory_bytes"] for turn in each)
        figures[f"{name}_bytes_on_disk"] = each[-1]["bytes_on_disk"]
    figures["prepare_microseconds_per_interaction"] = 1e6 * figures["prepare_seconds"]["median"] / interactions
    figures["prepare_by_floor"] = ratio(seconds["prepare"], seconds["floor"])
    figures["prepare_by_floor_of_processor_seconds"] = ratio(processor["prepare"], processor["floor"])
    figures["opening_seconds"] = spread([turn["opening_seconds"] for each in opened.values() for turn in each])
    for mode, each in opened.items():
        figures[f"first_{mode}_batch_seconds"] = spread([turn["first_batch_seconds"] for turn in each])
        figures[f"first_{mode}_batch_peak_memory_bytes"] = max(turn["peak_memory_bytes"] for turn in each)
    return figures


def _in_empty_folder(bench: Bench, parent: str, log: str) -> Figures:
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        return bench.in_own_process(measure_floor, log=log, folder=folder)


def _table(figures: Figures) -> list[str]:
    """Time, memory and disk by the size of the log, and slopes."""
    lines = [
        f"Memory is limited to {figures['memory']}, and {figures['evaluated_users']:,} users are evaluated. First "
        f"batch: {figures['batch_size']} sequences of {figures['max_length']}, causal and augmented.",
        "",
        "| interactions | floor, s | prepare, s | times the floor | processor: floor, s | prepare, s | times the floor "
        "| µs per interaction | floor's memory "
        "| prepare's memory | on disk | opening, s | first batch, s | augmented, s |",
        f"|{'---:|' * 14}",
    ]
    for row in figures["rows"]:
        cells = [f"{row['interactions']:,}"]
        names: tuple[str, ...] = ("floor_seconds", "prepare_seconds", "prepare_by_floor")
        names += ("floor_processor_seconds", "prepare_processor_seconds", "prepare_by_floor_of_processor_seconds")
        cells += [format_figure(row[name]["median"]) for name in names]
        cells.append(format_figure(row["prepare_microseconds_per_interaction"]))
        names = ("floor_peak_memory_bytes", "prepare_peak_memory_bytes", "prepare_bytes_on_disk")
        cells += [readable_bytes(row[name]) for name in names]
        names = ("opening_seconds", "first_causal_batch_seconds", "first_augmented_batch_seconds")
        cells += [format_figure(row[name]["median"]) for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    slopes = ", ".join(f"{name} {format_figure(slope)}" for name, slope in figures["slopes"].items())
    return [*lines, "", f"Slopes of the time in log–log: {slopes}."]


MEASUREMENT = Measurement(
    "prepare-scale",
    "preparing logs of 1 to 100 million interactions beside DuckDB alone; opening, first batch",
    _measure,
    _table,
    needs_dataset=False,
    by_default=False,
    warms_up=False,
)
