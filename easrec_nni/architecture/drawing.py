"""Drawing of an architecture in the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from easrec_nni.architecture.schema import ArchitectureSchema, is_decided
from easrec_nni.common.readable import readable_bytes, readable_count

__all__ = ["draw"]

BAR = 24  # characters of a full bar
NAMES = 14  # characters of the name column
KEPT, CUT = "█", "░"
LARGEST_ROWS = 24  # maximum rows of probabilities, and of layers drawn one by one


def _bar(kept: float, total: float, style: str) -> Text:
    """Bar with the kept part solid and the rest shaded; at least one block if not zero."""
    filled = 0 if kept <= 0 else max(1, round(BAR * kept / total))
    return Text.assemble((KEPT * filled, style), (CUT * (BAR - filled), "bright_black"))


def _width_line(name: str, kept: int, total: int, style: str = "cyan") -> Text:
    of = f"{kept:>5} of {total:<5}" if kept < total else f"{kept:>5} {'':8}"
    return Text.assemble((f"{name:<{NAMES}}", ""), _bar(kept, total, style), (f" {of}", "bold"))


def _note(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<{NAMES}}", ""), (text, "bright_black"))


def _layer(architecture: ArchitectureSchema, number: int) -> RenderableType:
    """Box of one transformer layer (Eq. 9)."""
    space, compact = architecture.space, architecture.network
    form = f"{space.attention}, {space.heads} heads of {compact.hidden // space.heads}, {space.direction}"
    rows = [_width_line("feed-forward", compact.inner, space.inner, "magenta")]
    if space.has_gates(number):
        dense = f"{space.gate_layers} dense layer{'s' if space.gate_layers > 1 else ''}"
        rows.append(_note("gates", f"δ1 × {compact.hidden}, δ2 × {compact.inner}, {dense}"))
    rows += [_note("attention", form), _width_line("hidden", compact.hidden, space.hidden)]
    return Panel(Group(*rows), title=f"layer {number}", title_align="left", box=box.ROUNDED, width=_WIDTH)


_WIDTH = NAMES + BAR + 19
_SCORED_BY = {
    "state": "newest state × item embedding",
    "mask": "state of the mask × item embedding",
    "core": "cosine with the session's weighted sum",
}
_ARROW = Text("▲".center(_WIDTH), style="bright_black")


def _stack(architecture: ArchitectureSchema) -> list[RenderableType]:
    """Boxes from scoring (top) to embedding (bottom), with removed layers shaded."""
    space, compact = architecture.space, architecture.network
    by = _SCORED_BY["mask" if space.objective == "masked" else space.head]
    scoring = Text(f"scores of {space.n_items:,} items = {by}", style="bold")
    parts: list[RenderableType] = [Text("next item".center(_WIDTH), style="bright_black"), _boxed(scoring, "scoring")]
    cut = space.layers - compact.layers
    if cut:
        first = compact.layers + 1
        title = f"layer {first}" if cut == 1 else f"layers {first} to {space.layers}"
        text = Text("cut away " + CUT * (_WIDTH - 13), style="bright_black")
        parts += [
            _ARROW,
            Panel(text, title=title, title_align="left", box=box.ASCII2, style="bright_black", width=_WIDTH),
        ]
    layers = range(compact.layers, 0, -1)
    if compact.layers > LARGEST_ROWS:
        parts += [_ARROW, _boxed(Text(f"{compact.layers} layers like those below"), "")]
        layers = range(min(2, compact.layers), 0, -1)
    for number in layers:
        parts += [_ARROW, _layer(architecture, number)]
    positions = {"none": "no positions"}.get(space.positions, f"{space.window} positions")
    embedding = Group(
        _note("", f"{space.n_items:,} items, {positions}"),
        *_features(architecture),
        _width_line("hidden", compact.hidden, space.hidden),
    )
    return [*parts, _ARROW, _boxed(embedding, "embedding"), Text("history".center(_WIDTH), style="bright_black")]


def _features(architecture: ArchitectureSchema) -> list[Text]:
    """Lines about the item features: their use, names and sizes."""
    space = architecture.space
    use = {"fused": "fused with the items", "stream": "a separate stream of layers"}.get(space.features)
    if use is None:
        return []
    names = space.feature_names or tuple(f"feature {number}" for number in range(1, len(space.feature_sizes) + 1))
    rows = [_note("item features", use)]
    for name, size in list(zip(names, space.feature_sizes, strict=True))[:LARGEST_ROWS]:
        rows.append(_note("", f"{name}: {size:,} values"))
    return rows


def _boxed(content: RenderableType, title: str) -> Panel:
    return Panel(content, title=title or None, title_align="left", box=box.SQUARE, width=_WIDTH)


def _heading(architecture: ArchitectureSchema) -> RenderableType:
    choice, space, compact = architecture.choices, architecture.space, architecture.network
    about = ["EASRec architecture"]
    about += [architecture.dataset.name] if architecture.dataset else []
    about += [f"λ {architecture.lambda_:g}"] if architecture.lambda_ is not None else []
    about += [f"budget {architecture.budget:.4g}"] if architecture.budget is not None else []
    about += [f"seed {architecture.seed}"] if architecture.seed is not None else []
    summary = (
        f"hidden pruning {choice.hidden_pruning:.4g} · inner pruning {choice.inner_pruning:.4g} · "
        f"depth {compact.layers} of {space.layers}"
    )
    return Group(Text(" · ".join(about), style="bold"), Text(summary), *_teacher(architecture), Text())


def _teacher(architecture: ArchitectureSchema) -> list[Text]:
    """Line about the teacher that the network was distilled from."""
    teacher = None if architecture.training is None else architecture.training.teacher
    if teacher is None:
        return []
    kind = {"run": "a network", "onnx": "an ONNX file", "table": "a table of scores"}[teacher.kind]
    softened = "" if teacher.temperature == 1 else f" at temperature {teacher.temperature:g}"
    return [Text(f"distilled with weight {teacher.weight:g}{softened} from {kind} ({teacher.sha256[:12]})")]


_COSTS = (
    ("madds_per_user", "multiply-adds per user", 0),
    ("block_madds_per_user", "layers", 1),
    ("gate_madds_per_user", "gates", 1),
    ("feature_madds_per_user", "item features", 1),
    ("scoring_madds_per_user", "scoring", 1),
    ("executed_madds_per_user", "executed", 1),
    ("executed_madds_per_user_on_histories", "executed on histories", 1),
    ("latency_ms_per_user", "predicted ms per user", 0),
    ("parameters", "parameters", 0),
    ("embedding_bytes", "embedding", 0),
)


def _costs(cost: dict[str, float], unpruned: dict[str, float] | None) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="bright_black")
    table.add_column(Text("cost", style="bold default"))
    table.add_column("searched", justify="right")
    if unpruned:
        table.add_column("unpruned", justify="right")
        table.add_column("share", justify="right")
        table.add_column("", min_width=BAR)
    titled = [name for name, _, _ in _COSTS]
    # Parts that a network lacks are left out.
    rows = [row for row in _COSTS if row[0] in cost and (cost[row[0]] or row[2] == 0)]
    rows += [(name, name, 0) for name in cost if name not in titled]
    for name, title, depth in rows:
        show = _format_of(name)
        cells: list[RenderableType] = [Text("  " * depth + title), show(cost[name])]
        if unpruned and unpruned.get(name):
            share = cost[name] / unpruned[name]
            cells += [show(unpruned[name]), f"{share:.0%}", _bar(min(share, 1), 1, "green")]
        table.add_row(*cells)
    return table


def _format_of(cost: str) -> Callable[[float], str]:
    if cost.endswith("ms_per_user"):
        return "{:.3g}".format
    return readable_bytes if cost.endswith("bytes") else readable_count


def _probabilities(architecture: ArchitectureSchema) -> RenderableType:
    """Bars of alpha and beta with their entropies; the selected options are marked."""
    selected = {"pruning": architecture.choices.label, "depth": str(architecture.choices.depth)}
    table = Table(box=None, pad_edge=False)
    table.add_column(Text("probabilities", style="bold"))
    table.add_column("")
    table.add_column("", justify="right")
    for symbol, name in (("α", "pruning"), ("β", "depth")):
        values = architecture.probabilities.get(name, {})  # type: ignore[call-overload]
        rows = list(values.items())
        if len(rows) > LARGEST_ROWS:
            rows = sorted(rows, key=lambda row: -row[1])[:LARGEST_ROWS]
        for index, (label, value) in enumerate(rows):
            mark = Text("◀ chosen", style="bold yellow") if label == selected[name] else ""
            first = f"{symbol} {name}" if index == 0 else ""
            if index == 1:
                entropy = architecture.entropies[name]
                first = f"  {entropy:.2f} nats" + ("" if is_decided({name: entropy}) else ", undecided")
            shown = label if name == "pruning" else f"{label} layer{'s' if label != '1' else ''}"
            table.add_row(first, shown, f"{value:.3f}", _bar(value, 1, "yellow"), mark)
    return table


def _metrics(metrics: dict[str, float]) -> RenderableType:
    table = Table(box=None, pad_edge=False)
    table.add_column(Text("metrics", style="bold"))
    table.add_column("", justify="right")
    for name, value in metrics.items():
        table.add_row(Text(name), f"{value:.4f}" if abs(value) < 100 else f"{value:,.0f}")
    return table


def draw(architecture: ArchitectureSchema, unpruned_cost: dict[str, float] | None = None) -> RenderableType:
    """Draw the network, its cost, the probabilities of the search, and its metrics.

    Parameters
    ----------
    architecture
        Architecture to draw.
    unpruned_cost
        Cost of the largest architecture of the space by name, for relative costs.

    Returns
    -------
    rich.console.RenderableType
        Renderable for ``rich.print``, 57 characters wide, 80 with relative costs.
    """
    parts: list[RenderableType] = [_heading(architecture), *_stack(architecture)]
    if architecture.cost:
        parts += [Text(), _costs(architecture.cost, unpruned_cost)]
    if any(architecture.probabilities.values()):
        parts += [Text(), _probabilities(architecture)]
    if architecture.metrics:
        parts += [Text(), _metrics(architecture.metrics)]
    return Group(*parts)
