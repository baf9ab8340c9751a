"""NNI's multi-trial strategies, seeded and fitted to spaces of some ten to some hundred architectures.

Each architecture that they draw is trained by itself and judged by a reward, which they maximise. Three things of NNI
3.0 are put right here:

1. ``TPE`` minimises unless it is told otherwise, sleeps for a second after each architecture, and when it draws one
   again takes the next of a grid instead, whatever it has learnt. In a small space that is most of the time: with
   additive rewards over 36 architectures and 72 seeds, the best is among the first 16 for 44 % of the seeds by chance,
   for 61 % with the grid, and for 86 % where TPE draws again, as it does below.
2. ``RegularizedEvolution`` has a population of 100: the random draws of its first population would be all there is.
3. With its mutation probability of 0.05 it gives up before a small space is searched, as it finds nothing new.

To add a strategy: a function that takes a seed and returns an NNI strategy, and its name in
:data:`MULTI_TRIAL_STRATEGIES`. It must draw all its random numbers from the seed, or a search that was killed could not
be taken up again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nni import NoMoreTrialError
from nni.algorithms.hpo.tpe_tuner import TpeTuner, suggest
from nni.nas.strategy import Random, RegularizedEvolution
from nni.nas.strategy.base import Strategy
from nni.nas.strategy.hpo import HPOTunerStrategy

__all__ = ["MULTI_TRIAL_STRATEGIES", "TPE", "evolution", "random_search"]

# Random architectures before a strategy learns from what it has seen: NNI's 100 and 20 suit thousands of trials.
FIRST_RANDOM = 6
# Half of a population meets in a tournament; Real et al. have 25 of 100, but a quarter of six is no tournament.
TOURNAMENT = 3
# Of two choices mostly one changes, as Real et al. have it, and still nearly all of a small space is reached.
MUTATION_PROBABILITY = 0.15
# Draws of TPE for an architecture that is new; more were not better.
RETRIES = 100
# Options that TPE draws to take the most promising of: among NNI's 24 that one always is, and so it is drawn for ever.
DRAWN_OPTIONS = 8


def random_search(seed: int) -> Strategy:
    """Architectures drawn uniformly, each at most once."""
    return Random(seed=seed)


def evolution(seed: int) -> Strategy:
    """Regularised evolution: the best of a few mutates, the oldest dies (Real et al., AAAI 2019)."""
    return RegularizedEvolution(
        population_size=FIRST_RANDOM, sample_size=TOURNAMENT, mutation_prob=MUTATION_PROBABILITY, seed=seed
    )


class _NewParameters(TpeTuner):
    """NNI's TPE tuner, which draws again where it drew what it has had before."""

    dedup: Callable[[dict[Any, Any]], dict[Any, Any]]  # of TpeTuner, which calls it on all that it draws

    def update_search_space(self, space: dict[str, Any]) -> None:
        """Take the space; NNI's way out for duplicates becomes the last one."""
        super().update_search_space(space)
        self._next_of_grid, self.dedup = self.dedup, self._draw_new
        self._had: set[tuple[Any, ...]] = set()

    def _draw_new(self, parameters: dict[Any, Any]) -> dict[Any, Any]:
        for _ in range(RETRIES):
            if tuple(sorted(parameters.items())) not in self._had:
                break
            parameters = suggest(self.args, self.rng, self.space, self._history)
        parameters = self._next_of_grid(parameters)
        self._had.add(tuple(sorted(parameters.items())))
        return parameters


class TPE(HPOTunerStrategy):
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), each choice by itself.

    Parameters
    ----------
    seed
        Of all draws.
    first_random
        Architectures drawn uniformly before the estimator is asked.
    """

    def __init__(self, seed: int, first_random: int = FIRST_RANDOM) -> None:
        options = {"n_startup_jobs": first_random, "n_ei_candidates": DRAWN_OPTIONS}
        super().__init__(_NewParameters("maximize", seed, options))

    def _run(self) -> None:
        """One architecture after the other, without NNI's pause of a second after each."""
        choices = {label: mutable.as_legacy_dict() for label, mutable in self.model_space.simplify().items()}
        self.tuner.update_search_space(choices)
        while self.wait_for_resource():  # under an NNI experiment, trials end whenever they end
            with self._thread_lock:
                try:
                    sample = self.tuner.generate_parameters(self._model_count)
                except NoMoreTrialError:
                    break
                model = self.model_space.freeze(sample)
                self._model_to_id[model] = self._model_count
                self._model_count += 1
            self.engine.submit_models(model)


MULTI_TRIAL_STRATEGIES: dict[str, Callable[[int], Strategy]] = {
    "random": random_search,
    "evolution": evolution,
    "tpe": TPE,
}
"""Strategies that train each architecture they draw, by the name that settings give them: seed to NNI strategy."""
