"""What ``easrec bench`` writes: one JSON, tables in Markdown, a plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from easrec_nni.bench.plots import scaling_plot
from easrec_nni.common.files import replacing, write_json, write_text
from easrec_nni.common.markdown import markdown_table
from easrec_nni.common.readable import readable_bytes, readable_count

__all__ = ["markdown", "write_documents"]

Documents = Mapping[str, dict[str, Any]]


def write_documents(documents: Documents, out: Path) -> None:
    """Write ``bench.json``, ``bench.md`` and, if anything was scaled, ``scaling.svg`` and ``scaling.png``.

    Parameters
    ----------
    documents
        Of the measurements, by name.
    out
        Folder.
    """
    scalings = [document["figures"] for name, document in documents.items() if name.startswith("scaling-")]
    if scalings:
        drawn = scaling_plot(scalings)
        write_text(out / "scaling.svg", drawn.svg)
        with replacing(out / "scaling.png") as temporary:
            temporary.write_bytes(drawn.png)
    write_text(out / "bench.md", markdown(documents))
    write_json(out / "bench.json", {"schema_version": 1, "measurements": dict(documents)})


def markdown(documents: Documents) -> str:
    """Tables of all measurements, each with the conditions that it ran under."""
    parts = ["# How long it takes", ""]
    for name, document in documents.items():
        parts += [f"## {name}", "", f"{document['summary']}. {_conditions(document)}", ""]
        figures = document["figures"]
        parts += _scaling_table(figures) if name.startswith("scaling-") else _table(figures)
        parts.append("")
    if any(name.startswith("scaling-") for name in documents):
        parts += ["![How time grows](scaling.png)", ""]
    return "\n".join(parts)


def _conditions(document: dict[str, Any]) -> str:
    request, load = document["request"], document["load_average"]["before"][0]
    words = [f"{document['threads']} threads, allocator {document['allocator']}, load {load}"]
    words.append(f"median (range) of {request['repeats']} after a warm-up")
    if "peak_memory_bytes" in document:
        beyond = document["peak_memory_bytes"] - document["baseline_peak_memory_bytes"]
        words.append(f"{readable_bytes(beyond)} of memory beyond the imports'")
    if request["quick"]:
        words.append("a quick run, which says nothing about speed")
    return "; ".join(words) + "."


def _table(figures: dict[str, Any]) -> list[str]:
    return [markdown_table(["figure", "value"], _flat(figures))]


def _flat(figures: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        label = f"{prefix}{name}"
        if _is_spread(value):
            yield label, _number(value)
        elif isinstance(value, dict):
            yield from _flat(value, f"{label}, ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from ((f"{label}, {_row_name(row)}", _row_value(row)) for row in value)
        elif isinstance(value, list):
            yield label, ", ".join(map(str, value))
        else:
            yield label, _number(value)


def _row_name(row: dict[str, Any]) -> str:
    name, value = next(iter(row.items()))
    return f"`{value}`" if isinstance(value, str) else f"{name} {_number(value)}"


def _row_value(row: dict[str, Any]) -> str:
    rest = list(row.items())[1:]
    return ", ".join(f"{100 * value:.1f} %" if name == "share" else f"{name} {_number(value)}" for name, value in rest)


def _scaling_table(figures: dict[str, Any]) -> list[str]:
    units = ("inference, ms per user", "training step, µs per position", "training memory", "multiply-adds per user")
    rows = [
        [
            f"{point['value']:,}",
            _number(1e3 * point["inference_seconds_per_user"]["median"]),
            _number(1e6 * point["training_step_seconds"]["median"] / point["training_positions"]),
            readable_bytes(point["training_memory_bytes"]),
            readable_count(point["executed_madds_per_user"]),
        ]
        for point in figures["points"]
    ]
    table = markdown_table([figures["title"], *units], rows, [True] * 5)
    slopes = ", ".join(
        f"{name} {'–' if slope is None else f'{slope:.2f}'}" for name, slope in figures["slopes"].items()
    )
    since = f" (from {figures['slope_from']:,} on)" if "slope_from" in figures else ""
    return [table, "", f"Slopes in log–log{since}: {slopes}."]


def _is_spread(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"median", "min", "max"}


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if _is_spread(value):
        return f"{_number(value['median'])} ({_number(value['min'])} to {_number(value['max'])})"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 10_000:
        return readable_count(value)
    return f"{value:.4g}"
