"""Selection protocol common to all systems: which users select which epoch and trial.

Search and retraining of every system take batches, loss and selection users only from
:class:`~easrec_nni.training.context.TrialContext`.

Decisions by the metric that ``select_by`` names:

* Best epoch of a search: the users whose validation targets trained no alpha or beta
  (:func:`~easrec_nni.evaluation.selection.validation_rows`). A search must not be evaluated on users that it trained
  on.
* Best epoch of a retraining, including the initial network: all validation users. A retraining trains only weights,
  on no validation target, so there is no alpha to protect, and twice the users halve the variance.
* The tuner's choice between trials (``default`` of the final result and of every epoch): the selection users of the
  search, who trained no alpha or beta in that trial. A tuner compares architectures, and one fitted to the validation
  targets of some users would look better on these than it is. All trials select their epoch by a set that includes
  these users, so the comparison stays fair.

The share of users that train alpha and beta (``search.arch_share``) therefore changes no weight of a retraining. It
determines the users over whom ``valid_selection_users`` and ``default`` are reported, so it is part of a retraining's
identity, and a retraining refuses a share by which users that trained alpha and beta would be among them
(:meth:`~easrec_nni.training.context.TrialContext.check_share`). A larger share than the search's is accepted: it only
leaves some users out.
One partition (seed 0) for every seed of a study decides which validation users train alpha and beta and which select,
so the ± over seeds does not include its variance.
"""

from __future__ import annotations

__all__ = ["SELECTION"]

SELECTION = "every user"
"""Selection users of a retraining, as its identity stores them; without the key, half of the users select."""
