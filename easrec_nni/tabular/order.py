"""Order in which the architectures of a space are trained."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces import Choice, SpaceConfig

__all__ = ["training_order"]


def training_order(space: SpaceConfig, cost: Callable[[Choice], float]) -> list[Choice]:
    """Architectures in an order of which every prefix covers the range of costs.

    The costliest architecture comes first, the cheapest second; each further one is the middle of the widest gap in the
    ranking by cost, the gap of the costlier architectures first among equals.

    Parameters
    ----------
    space
        The space.
    cost
        Cost of an architecture.
    """
    ranking = sorted(space.architectures(), key=cost, reverse=True)
    places = [0, len(ranking) - 1] if len(ranking) > 1 else [0]
    gaps = [(0, len(ranking) - 1)]
    while gaps:
        gap = max(gaps, key=lambda ends: (ends[1] - ends[0], -ends[0]))
        gaps.remove(gap)
        middle = sum(gap) // 2
        if middle not in gap:
            places.append(middle)
            gaps += [(gap[0], middle), (middle, gap[1])]
    return [ranking[place] for place in places]
