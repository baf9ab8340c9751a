"""What all systems get alike: who trains, who selects, in which batches, by which loss, and the figure that selects.

A search and a retraining, of whatever system, take their batches, their loss and these users from
:class:`~easrec_nni.training.context.TrialContext` alone.

Who decides what, by the figure that ``select_by`` names:

* The best epoch of a search: the users whose validation targets trained no alpha or beta
  (:func:`~easrec_nni.evaluation.selection.validation_rows`). A search must not judge itself by users that it trained
  on.
* The best epoch of a retraining, the network it began with among them: every validation user. It trains weights alone,
  on no validation target, so there is no alpha to protect, and twice the users halve the variance.
* The tuner's choice between trials (``default`` of the final result, and of every epoch): the users of the search
  again, who trained no alpha or beta in that trial. A tuner compares architectures, and one that was fitted to the
  validation targets of some users would look better there than it is. The epoch was chosen with these users among
  others, in all trials alike.

The share of users that train alpha and beta (``search.arch_share``) therefore changes no weight of a retraining. It
says over whom ``valid_selection_users`` and ``default`` are reported, so it is part of what a retraining's folder is
known by, and a retraining refuses a share by which users that trained alpha and beta would be among those
(:meth:`~easrec_nni.training.context.TrialContext.check_share`). A larger share than the search's leaves some users
out, which is honest, and is taken.
Which validation users train alpha and beta and which select is one partition (seed 0) for every seed of a study: what
is reported as ± over seeds holds nothing of which half selects.
"""

from __future__ import annotations

__all__ = ["SELECTION"]

SELECTION = "every user"
"""Who selects in a retraining, as its folder notes it; one without the note was begun when half of the users did."""
