"""A searched network as a picture in the terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from easrec_nni.architecture.schema import ArchitectureSchema, is_decided
from easrec_nni.common.readable import readable_bytes, readable_count

__all__ = ["draw"]

BAR = 24  # characters of a full bar
NAMES = 14  # characters of the names of a layer's parts
KEPT, CUT = "█", "░"
LARGEST_ROWS = 24  # of probabilities, and of layers drawn one by one


def _bar(kept: float, total: float, style: str) -> Text:
    """Kept part solid, cut part shaded; what is not nothing has a mark."""
    filled = 0 if kept <= 0 else max(1, round(BAR * kept / total))
    return Text.assemble((KEPT * filled, style), (CUT * (BAR - filled), "bright_black"))


def _width_line(name: str, kept: int, total: int, style: str = "cyan") -> Text:
    of = f"{kept:>5} of {total:<5}" if kept < total else f"{kept:>5} {'':8}"
    return Text.assemble((f"{name:<{NAMES}}", ""), _bar(kept, total, style), (f" {of}", "bold"))


def _note(name: str, text: str) -> Text:
    return Text.assemble((f"{name:<{NAMES}}", ""), (text, "bright_black"))


def _layer(architecture: ArchitectureSchema, number: int) -> RenderableType:
    """Box of one transformer layer, Eq. 9."""
    space, small = architecture.space, architecture.network
    form = f"{space.attention}, {space.heads} heads of {small.hidden // space.heads}, {space.direction}"
    rows = [_width_line("feed-forward", small.inner, space.inner, "magenta")]
    if space.gate_layers and number >= space.gates_from:
        dense = f"{space.gate_layers} dense layer{'s' if space.gate_layers > 1 else ''}"
        rows.append(_note("gates", f"δ1 × {small.hidden}, δ2 × {small.inner}, {dense}"))
    rows += [_note("attention", form), _width_line("hidden", small.hidden, space.hidden)]
    return Panel(Group(*rows), title=f"layer {number}", title_align="left", box=box.ROUNDED, width=_WIDTH)


_WIDTH = NAMES + BAR + 19
_SCORED_BY = {
    "state": "newest state × item embedding",
    "mask": "state of the mask × item embedding",
    "core": "cosine with the session's weighted sum",
}
_ARROW = Text("▲".center(_WIDTH), style="bright_black")


def _stack(architecture: ArchitectureSchema) -> list[RenderableType]:
    """The network as it is stacked: scoring on top, embedding below, layers that were cut away as shades."""
    space, small = architecture.space, architecture.network
    by = _SCORED_BY["mask" if space.objective == "masked" else space.head]
    scoring = Text(f"scores of {space.n_items:,} items = {by}", style="bold")
    parts: list[RenderableType] = [Text("next item".center(_WIDTH), style="bright_black"), _boxed(scoring, "scoring")]
    cut = space.layers - small.layers
    if cut:
        first = small.layers + 1
        title = f"layer {first}" if cut == 1 else f"layers {first} to {space.layers}"
        text = Text("cut away " + CUT * (_WIDTH - 13), style="bright_black")
        parts += [
            _ARROW,
            Panel(text, title=title, title_align="left", box=box.ASCII2, style="bright_black", width=_WIDTH),
        ]
    layers = range(small.layers, 0, -1)
    if small.layers > LARGEST_ROWS:
        parts += [_ARROW, _boxed(Text(f"{small.layers} layers like those below"), "")]
        layers = range(min(2, small.layers), 0, -1)
    for number in layers:
        parts += [_ARROW, _layer(architecture, number)]
    positions = {"none": "no positions"}.get(space.positions, f"{space.window} positions")
    embedding = Group(
        _note("", f"{space.n_items:,} items, {positions}"),
        *_features(architecture),
        _width_line("hidden", small.hidden, space.hidden),
    )
    return [*parts, _ARROW, _boxed(embedding, "embedding"), Text("history".center(_WIDTH), style="bright_black")]


def _features(architecture: ArchitectureSchema) -> list[Text]:
    """Lines on the item features: how they are used, and which."""
    space = architecture.space
    use = {"fused": "fused with the items", "stream": "a stream with layers of its own"}.get(space.features)
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
    choice, space, small = architecture.choices, architecture.space, architecture.network
    about = ["EASRec architecture"]
    about += [architecture.dataset.name] if architecture.dataset else []
    about += [f"λ {architecture.lambda_:g}"] if architecture.lambda_ is not None else []
    about += [f"seed {architecture.seed}"] if architecture.seed is not None else []
    chosen = (
        f"hidden pruning {choice.hidden_pruning:.4g} · inner pruning {choice.inner_pruning:.4g} · "
        f"depth {small.layers} of {space.layers}"
    )
    return Group(Text(" · ".join(about), style="bold"), Text(chosen), Text())


_COSTS = (
    ("madds_per_user", "multiply-adds per user", 0),
    ("block_madds_per_user", "layers", 1),
    ("gate_madds_per_user", "gates", 1),
    ("feature_madds_per_user", "item features", 1),
    ("scoring_madds_per_user", "scoring", 1),
    ("executed_madds_per_user", "really executed", 1),
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
    known = [name for name, _, _ in _COSTS]
    # Parts that a network does not have are left out.
    rows = [row for row in _COSTS if row[0] in cost and (cost[row[0]] or row[2] == 0)]
    rows += [(name, name, 0) for name in cost if name not in known]
    for name, title, depth in rows:
        show = readable_bytes if name.endswith("bytes") else readable_count
        cells: list[RenderableType] = [Text("  " * depth + title), show(cost[name])]
        if unpruned and unpruned.get(name):
            share = cost[name] / unpruned[name]
            cells += [show(unpruned[name]), f"{share:.0%}", _bar(min(share, 1), 1, "green")]
        table.add_row(*cells)
    return table


def _probabilities(architecture: ArchitectureSchema) -> RenderableType:
    """Alpha and beta as bars, the chosen ones marked, with their entropies."""
    chosen = {"pruning": architecture.choices.label, "depth": str(architecture.choices.depth)}
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
            mark = Text("◀ chosen", style="bold yellow") if label == chosen[name] else ""
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
    """Draw the network, its cost, and how sure the search was.

    Parameters
    ----------
    architecture
        What to draw.
    unpruned_cost
        Cost of the largest architecture of the space, by name; shares of it are then shown.

    Returns
    -------
    rich.console.RenderableType
        Something for ``rich.print``; 57 characters wide, 80 with the shares of costs.
    """
    parts: list[RenderableType] = [_heading(architecture), *_stack(architecture)]
    if architecture.cost:
        parts += [Text(), _costs(architecture.cost, unpruned_cost)]
    if any(architecture.probabilities.values()):
        parts += [Text(), _probabilities(architecture)]
    if architecture.metrics:
        parts += [Text(), _metrics(architecture.metrics)]
    return Group(*parts)
