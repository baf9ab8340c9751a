"""Multiplier that takes lambda's place in Eq. 16 and is adapted to a budget."""

from __future__ import annotations

__all__ = ["BudgetMultiplier"]


class BudgetMultiplier:
    r"""Multiplier of the constraint :math:`E[cost] \le B`, by dual ascent on the augmented Lagrangian.

    With the excess :math:`g_t = \sum_{ij} p_i q_j \, cost_{ij} - B` under the probabilities of alpha and beta, without
    noise and temperature,

    .. math::
        \lambda_t &= \max(0, \mu_t + \kappa g_t) \\
        \mu_{t+1} &= \max(0, \mu_t + \rho g_t)

    where :math:`\lambda_t` weighs the constraint in Eq. 16 at step t. :math:`\mu` integrates the excess, so that no
    trade-off has to be guessed; :math:`\kappa` damps the swing that an integral alone has (Hestenes 1969; Platt and
    Barr, "Constrained differential optimization", NIPS 1987; for inequalities: Rockafellar 1973).

    Parameters
    ----------
    budget
        B, as a share of the largest architecture's cost.
    steps
        Number of steps of alpha and beta in the search; :math:`\rho` is :data:`GAIN` / steps, so that the multiplier
        moves equally far in short and long searches.

    Attributes
    ----------
    accumulated
        :math:`\mu`, in nats for the cost of the largest architecture.
    """

    GAIN = 40.0  # nats that a lasting excess of the whole cost adds to mu over the search
    DAMPING = 10.0  # kappa, in nats

    def __init__(self, budget: float, steps: int) -> None:
        if not 0 < budget <= 1:
            raise ValueError(f"budget must be more than 0 and at most 1, got {budget}")
        if steps < 1:
            raise ValueError(f"steps must be 1 or more, got {steps}")
        self.budget, self.rate = budget, self.GAIN / steps
        self.accumulated = 0.0

    def weight(self, expected_cost: float) -> float:
        r""":math:`\lambda_t` at an expected cost."""
        return max(0.0, self.accumulated + self.DAMPING * (expected_cost - self.budget))

    def update(self, expected_cost: float) -> None:
        r"""Move :math:`\mu` by the excess."""
        self.accumulated = max(0.0, self.accumulated + self.rate * (expected_cost - self.budget))
