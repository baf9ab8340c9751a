"""Chapters on accuracy and cost: Tables III, IV and V, the ablations, Figure 4."""

from __future__ import annotations

from collections.abc import Sequence

from easrec_nni.evaluation.figures import LATER_PROTOCOLS
from easrec_nni.report.ablations import (
    ablation_records,
    ablation_table,
    fixed_gate_records,
    fixed_gate_table,
    gate_records,
    gate_table,
    published_gate_table,
)
from easrec_nni.report.accuracy import accuracy_table, published_table, recommended_table
from easrec_nni.report.comparing import METHOD
from easrec_nni.report.content import Block, Chapter, Paragraph, Record, Table
from easrec_nni.report.costs import cost_table, published_cost_table
from easrec_nni.report.differences import PROTOCOLS, Noise, difference_table
from easrec_nni.report.pareto import tradeoff_figure, tradeoff_records
from easrec_nni.report.plots.sweep import sweep_plot
from easrec_nni.report.plots.tradeoff import tradeoff_plot
from easrec_nni.report.published import NOT_COMPARABLE, NOT_SHOWN, published_for
from easrec_nni.report.refitted import refitted_records, refitted_table
from easrec_nni.report.sections import RANKINGS, Section, SystemCells
from easrec_nni.report.sweep import sweep_records, sweep_table

__all__ = [
    "ablations_chapter",
    "accuracy_chapter",
    "costs_chapter",
    "differences_chapter",
    "fixed_gates_chapter",
    "gates_chapter",
    "refitted_chapter",
    "sweep_chapter",
]


def accuracy_chapter(section: Section, records: Sequence[Record], noise: Noise | None) -> Chapter:
    """Chapter of Table III: accuracy."""
    explained = (
        "The last item of every user was hidden, and every system ranked the items by how likely it thinks each is the "
        "next one. Recall@10 is the share of users whose hidden item is among the first ten; MRR@10 and NDCG@10 also "
        "ask how far up it is. All are from 0 to 1, more is better. “Full” ranks among all items, which is what a "
        "recommender has to do, “unseen” among those that the user had not met. “pop100” "
        "and “uni100” rank the hidden item among 100 others only that the user never had, drawn by "
        "popularity or evenly: far easier, so the figures are higher, and they can put systems into "
        "another order. “pop100_recbole” draws by popularity as RecBole does, what the user had included. Ties count "
        "against the system."
    )
    blocks: list[Block] = [Paragraph(explained)]
    if noise:
        blocks.append(Paragraph(_trust(noise), strong=True))
    blocks.append(accuracy_table(records))
    if any(record["published_dataset"] for record in records):
        blocks += _beside_published(section, published_table(section, records))
    recommended = recommended_table(records)
    if recommended:
        blocks.append(recommended)
    return Chapter("accuracy", "Table III: accuracy", blocks)


def refitted_chapter(section: Section) -> tuple[Chapter, list[Record]] | None:
    """Chapter of the refitted networks, and its records."""
    records = refitted_records(section)
    if not records:
        return None
    explained = (
        "Each network of Table III was trained once more, from the same initial weights, on training and validation "
        "interactions together, for the number of epochs that was best without them. It has seen one interaction more "
        "of every user, the one right before the hidden item: these figures compare with each other, and with those of "
        "no other table."
    )
    return Chapter("refitted", "Refitted networks", [Paragraph(explained), refitted_table(records)]), records


def _beside_published(section: Section, table: Table | None) -> list[Block]:
    """Published figures and how to read them, or why they are not shown."""
    if table is None:
        return [Paragraph(NOT_SHOWN)]
    name, _ = published_for(section.dataset.name)
    note = NOT_COMPARABLE
    if name != section.dataset.name:
        note = (
            f"The paper has no figures for {section.dataset.title}; those for {name} stand here as orientation. {note}"
        )
    return [table, Paragraph(note)]


def _trust(noise: Noise) -> str:
    text = (
        f"How far to trust it: there are {noise.users:,} test users. Had others been drawn, the best system's NDCG@10 "
        f"by {RANKINGS[noise.ranking]}, {noise.mean:.4f}, would move by ± {noise.error:.4f} (its standard error, "
        f"{noise.share:.0%} of the figure), whichever seed is used."
    )
    if noise.interval is not None:
        text += (
            f" Two systems on the same users compare more sharply: differences smaller than about {noise.interval:.4f} "
            "are noise here, by the 95 % intervals below."
        )
    return text


def differences_chapter(reference: SystemCells, records: Sequence[Record]) -> Chapter | None:
    """Chapter of the differences between the reference and every other system."""
    if not records:
        return None
    explained = (
        f"For each other system: the NDCG@10 of {reference.label} minus its own, and the intervals in which the true "
        "difference lies with 95 % confidence. “Cannot be told apart” does not show that two systems are equal: it "
        "says that so many users and seeds do not show which is better."
    )
    protocols = [
        protocol
        for protocol in PROTOCOLS
        if protocol not in LATER_PROTOCOLS or any(record[f"difference_{protocol}"] for record in records)
    ]
    tables = [difference_table(reference, records, protocol) for protocol in protocols]
    title = f"{reference.label} against the others"
    return Chapter("differences", title, [Paragraph(explained), *tables, Paragraph(METHOD)])


def costs_chapter(
    section: Section, accuracy: Sequence[Record], records: Sequence[Record], prefix: str
) -> tuple[Chapter, list[Record]]:
    """Chapter of Table IV and accuracy against multiply-adds, and the plot's records."""
    explained = (
        "What a system costs once it is trained: time to score all test users, time per user when many are scored at "
        "once and when one user waits, memory, and size. Multiply-adds and parameters are counted and the same "
        "everywhere; seconds hold for the machine named below."
    )
    shown = [record for record in records if record["group"] != "ablation"]  # these have another table
    blocks: list[Block] = [Paragraph(explained), cost_table(section, shown)]
    published = published_cost_table(section, shown)
    if published:
        blocks.append(published)
    cost = tradeoff_figure(records)
    points = tradeoff_records(accuracy, records, cost, section.ranking)
    if len(points) > 1:
        blocks.append(tradeoff_plot(points, cost, f"{prefix}accuracy-cost", section.ranking))
    return Chapter("cost", "Table IV: cost", blocks), points


def gates_chapter(section: Section) -> tuple[Chapter, list[Record]] | None:
    """Chapter of Table V: data-aware gates, and its records."""
    records = gate_records(section)
    if not records:
        return None
    explained = (
        "EASRec's layers are scaled by small networks that look at the data, its gates. Here they have two layers "
        "(EASRec), one, or are left out. If gates help, accuracy falls from the first row to the last; "
        "searched networks of one layer, which have no gates, cannot show it."
    )
    blocks: list[Block] = [Paragraph(explained), gate_table(records, section.ranking)]
    blocks += _beside_published(section, published_gate_table(section, records))
    return Chapter("gates", "Table V: data-aware gates", blocks), records


def fixed_gates_chapter(section: Section) -> tuple[Chapter, list[Record]] | None:
    """Chapter of the gates of fixed networks, and its records."""
    records = fixed_gate_records(section)
    if not records:
        return None
    explained = (
        "EASRec's largest network, trained without a search, with gates of several kinds and with none: neither a "
        "search's luck nor its constraint stands between the gates and the figures."
    )
    return Chapter(
        "fixed-gates", "Gates without a search", [Paragraph(explained), fixed_gate_table(records, section.ranking)]
    ), records


def ablations_chapter(section: Section) -> tuple[Chapter, list[Record]] | None:
    """Chapter of the ablations, and its records."""
    records = ablation_records(section)
    if not records:
        return None
    explained = "What each part of EASRec contributes: each row is EASRec with the one change that it names."
    return Chapter("ablations", "Ablations", [Paragraph(explained), ablation_table(records, section.ranking)]), records


def sweep_chapter(section: Section, prefix: str) -> tuple[Chapter, list[Record]] | None:
    """Chapter of Figure 4, accuracy and cost over λ, and its records."""
    records = sweep_records(section)
    if not records:
        return None
    explained = (
        "λ is the weight of cost in the search; 0 ignores it. If the constraint works, the chosen networks become "
        "cheaper to the right while accuracy stays about the same."
    )
    blocks: list[Block] = [Paragraph(explained)]
    for system in dict.fromkeys(str(record["system"]) for record in records):
        swept = [record for record in records if record["system"] == system]
        name = f"{prefix}fig4" if system == "easrec" else f"{prefix}fig4-{_slug(system)}"
        if len(swept) > 1:
            blocks.append(sweep_plot(swept, name, section.ranking))
    blocks.append(sweep_table(records, section.ranking))
    return Chapter("fig4", "Figure 4: the trade-off λ", blocks), records


def _slug(text: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in text.lower())
