"""The three verdicts on constructed users, and their errors and numbers of users by simulation in plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from easrec_nni.evaluation.judgement import CONFIDENCE, POWER, judge
from easrec_nni.evaluation.metrics import user_gains

FIGURE = "ndcg@10_unseen"


def population(random: np.random.Generator, users: int, loss: float) -> tuple[np.ndarray, np.ndarray]:
    """Gains of a network and of the unpruned one, whose mean is 0.3; the network loses a share of it in the mean.

    Two of three users have the same gain under both networks; the others' gains are independent.
    """
    unpruned = (random.random(users) < 0.5) * random.random(users) * 1.2
    other = (random.random(users) < 0.5) * random.random(users) * 1.2
    differs = random.random(users) < 1 / 3
    return np.where(differs, other, unpruned) * (1 - loss), unpruned


@pytest.mark.parametrize(
    ("worse_users", "verdict"),
    [(0, "kept"), (10, "kept"), (300, "lost")],
)
def test_verdicts_on_constructed_ranks(worse_users: int, verdict: str) -> None:
    ranks = np.tile([1, 3, 7, 50], 500)
    moved = ranks.copy()
    moved[: 4 * worse_users : 4] = 2  # from the first place to the second
    judged = judge(user_gains(moved, "ndcg", 10), user_gains(ranks, "ndcg", 10), 0.02, figure=FIGURE)
    loss = worse_users * (1 - 1 / math.log2(3)) / 500 / (1 + 1 / 2 + 1 / 3)
    assert judged.difference == pytest.approx(-loss)
    assert (judged.verdict, judged.users, judged.margin) == (verdict, 2000, 0.02)
    assert judged.users_needed is None and judged.text.startswith(f"{verdict}: NDCG@10 (unseen) ")


def level(users: int, loss: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Users of the population whose mean difference is exactly the loss: each one also with the networks swapped."""
    one, other = population(np.random.default_rng(1), users // 2, 0.0)
    return np.concatenate([one, other]) * (1 - loss), np.concatenate([other, one])


def test_too_few_users_cannot_tell_and_say_how_many_would() -> None:
    gains, unpruned = level(942)
    judged = judge(gains, unpruned, 0.02, figure=FIGURE)
    assert judged.verdict == "cannot tell" and judged.difference == pytest.approx(0, abs=1e-12)
    assert judged.low is not None and judged.high is not None and judged.low < -0.02 < judged.high
    # By hand: the standard error must fall to the distance from the margin over 1.645 + 0.842.
    beyond = gains - 0.98 * unpruned
    by_hand = 942 * ((1.6449 + 0.8416) * (beyond.std(ddof=1) / math.sqrt(942)) / (0.02 * unpruned.mean())) ** 2
    assert judged.users_needed == pytest.approx(by_hand, rel=1e-3)
    assert f"about {judged.users_needed:,} users would tell" in judged.text


def test_the_margin_decides() -> None:
    gains, unpruned = level(4000, 0.05)
    verdicts = {margin: judge(gains, unpruned, margin, figure=FIGURE).verdict for margin in (0.001, 0.05, 0.2)}
    assert verdicts == {0.001: "lost", 0.05: "cannot tell", 0.2: "kept"}


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_the_interval_covers_the_true_difference_in_nine_of_ten_samples(loss: float) -> None:
    random = np.random.default_rng(2)
    below = above = 0
    for _ in range(400):
        judged = judge(*population(random, 300, loss), 0.02, figure=FIGURE, resamples=1000)
        assert judged.low is not None and judged.high is not None
        below += judged.high < -loss
        above += judged.low > -loss
    # Each side is missed in 5 % of samples; ± 3 standard errors of 400 samples.
    assert 400 * (1 - CONFIDENCE) / 2 == pytest.approx(20)
    assert 7 <= below <= 33 and 7 <= above <= 33


@pytest.mark.parametrize(("loss", "verdict"), [(0.0, "kept"), (0.12, "lost")])
def test_with_the_number_of_users_needed_four_of_five_samples_decide(loss: float, verdict: str) -> None:
    margin, random = 0.06, np.random.default_rng(3)
    gains, unpruned = level(300, loss)
    first = judge(gains, unpruned, margin, figure=FIGURE)
    assert first.verdict == "cannot tell" and first.users_needed is not None
    verdicts = []
    for _ in range(150):
        drawn = random.integers(0, 300, first.users_needed)
        verdicts.append(judge(gains[drawn], unpruned[drawn], margin, figure=FIGURE, resamples=400).verdict)
    assert verdicts.count(verdict) / 150 == pytest.approx(POWER, abs=0.1)  # three standard errors


def test_undefined_differences_cannot_tell() -> None:
    nothing = np.zeros(5)
    judged = judge(np.ones(5), nothing, 0.02, figure=FIGURE)
    assert (judged.verdict, judged.difference, judged.low) == ("cannot tell", None, None)
    assert judged.text == "cannot tell with 5 users: NDCG@10 (unseen) 1.0000 against 0.0000 unpruned"
    assert judge(np.ones(1), np.ones(1), 0.02, figure=FIGURE).verdict == "cannot tell"
    at_the_margin = judge(np.tile([0.0, 0.98 * 2], 50), np.ones(100), 0.02, figure=FIGURE)
    assert (at_the_margin.verdict, at_the_margin.users_needed) == ("cannot tell", None)
    assert at_the_margin.text.endswith("the difference lies at the margin")


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.1, math.nan])
def test_a_margin_is_a_share(margin: float) -> None:
    with pytest.raises(ValueError, match="a margin is a share between 0 and 1"):
        judge(np.ones(3), np.ones(3), margin, figure=FIGURE)


def test_a_judgement_reads_back() -> None:
    judged = judge(*population(np.random.default_rng(1), 500, 0.0), 0.02, figure=FIGURE)
    assert type(judged).model_validate_json(judged.model_dump_json()) == judged
