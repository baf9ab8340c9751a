"""Correction of p-values for multiple comparisons."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["holm"]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    r"""Holm's step-down correction of p-values, which controls the family-wise error rate.

    With the p-values in ascending order, :math:`p_{(1)} \le \dots \le p_{(m)}`,

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min\bigl(1, (m - j + 1)\, p_{(j)}\bigr)

    (Holm, Scandinavian Journal of Statistics 1979). It does not assume independence: comparisons with the same system
    are dependent. (``scipy.stats.false_discovery_control`` has other methods, with another guarantee.)

    Parameters
    ----------
    p_values
        Raw p-values in any order; None where there was no test, which is not counted.

    Returns
    -------
    list
        Corrected p-values in the order given, each at least the raw one and at most 1; None stays None.

    Raises
    ------
    ValueError
        A p-value is not between 0 and 1.

    Examples
    --------
    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    tested = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for turn, (p, place) in enumerate(tested):
        if not 0 <= p <= 1:
            raise ValueError(f"a p-value is between 0 and 1, not {p}")
        largest = max(largest, min(1.0, (len(tested) - turn) * p))
        corrected[place] = largest
    return corrected
