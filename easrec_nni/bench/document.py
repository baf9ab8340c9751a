"""Output files of ``easrec bench``: one JSON file, Markdown tables, a plot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from easrec_nni.bench.measurements import ALL
from easrec_nni.bench.plots import prepare_plot, scaling_plot
from easrec_nni.common.figures import Picture
from easrec_nni.common.files import atomic_write, write_json, write_text
from easrec_nni.common.readable import readable_bytes

__all__ = ["markdown", "write_documents"]

Documents = Mapping[str, dict[str, Any]]


def write_documents(documents: Documents, out: Path) -> None:
    """Write ``bench.json``, ``bench.md`` and, for scaling measurements, plots as SVG and PNG.

    Parameters
    ----------
    documents
        Documents of the measurements, by name.
    out
        Folder to write to.
    """
    scalings = [document["figures"] for name, document in documents.items() if name.startswith("scaling-")]
    if scalings:
        _write_plot(scaling_plot(scalings), out / "scaling")
    if "prepare-scale" in documents:
        _write_plot(prepare_plot(documents["prepare-scale"]["figures"]), out / "prepare-scale")
    write_text(out / "bench.md", markdown(documents))
    write_json(out / "bench.json", {"schema_version": 1, "measurements": dict(documents)})


def _write_plot(drawn: Picture, path: Path) -> None:
    write_text(path.with_suffix(".svg"), drawn.svg)
    with atomic_write(path.with_suffix(".png")) as temporary:
        temporary.write_bytes(drawn.png)


def markdown(documents: Documents) -> str:
    """Markdown tables of all measurements, each with the conditions it ran under."""
    parts = ["# How long it takes", ""]
    for name, document in documents.items():
        parts += [f"## {name}", "", f"{document['summary']}. {_conditions(document, ALL[name].warms_up)}", ""]
        parts += [*ALL[name].table(document["figures"]), ""]
    if any(name.startswith("scaling-") for name in documents):
        parts += ["![How time grows](scaling.png)", ""]
    if "prepare-scale" in documents:
        parts += ["![How preparing grows](prepare-scale.png)", ""]
    return "\n".join(parts)


def _conditions(document: dict[str, Any], warms_up: bool) -> str:
    request, load = document["request"], document["load_average"]["before"][0]
    words = [f"{document['threads']} threads, allocator {document['allocator']}, load {load}"]
    words.append(f"median (range) of {request['repeats']}{' after a warm-up' if warms_up else ''}")
    if "peak_memory_bytes" in document:
        beyond = document["peak_memory_bytes"] - document["baseline_peak_memory_bytes"]
        words.append(f"{readable_bytes(beyond)} of memory beyond the imports'")
    if request["quick"]:
        words.append("a quick run, which says nothing about speed")
    return "; ".join(words) + "."
