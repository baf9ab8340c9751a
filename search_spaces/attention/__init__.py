"""Forms of attention, functions of projected queries, keys and values.

A new form is a file with a function of type :data:`AttentionCore` and a name in :data:`ATTENTIONS` and
:data:`~search_spaces.config.ATTENTION_NAMES`. It must ignore masked keys, must not let a causal query see later keys
(or be in :data:`BIDIRECTIONAL_ONLY`), and must accept a single query per sequence, which is the last position. All its
operators must be countable; see ``easrec_nni.architecture.cost``. A form with weights is a module built from the
configuration with such a ``forward``; its weights may not depend on the block's width, as candidates do not slice them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from search_spaces.attention.efficient import efficient_attention
from search_spaces.attention.elu import elu_attention
from search_spaces.attention.linear import CHUNK, causal_linear_attention
from search_spaces.attention.linformer import LinformerAttention
from search_spaces.attention.linrec import linrec_attention
from search_spaces.attention.softmax import softmax_attention
from search_spaces.config import BIDIRECTIONAL_ONLY

if TYPE_CHECKING:
    from search_spaces.config import SpaceConfig

__all__ = [
    "ATTENTIONS",
    "BIDIRECTIONAL_ONLY",
    "CHUNK",
    "AttentionCore",
    "LinformerAttention",
    "causal_linear_attention",
    "efficient_attention",
    "elu_attention",
    "linrec_attention",
    "make_attention",
    "softmax_attention",
]

AttentionCore = Callable[[Tensor, Tensor, Tensor, Tensor, bool, str, float], Tensor]

ATTENTIONS: dict[str, AttentionCore | type[LinformerAttention]] = {
    "linrec": linrec_attention,
    "softmax": softmax_attention,
    "elu": elu_attention,
    "efficient": efficient_attention,
    "linformer": LinformerAttention,
}


def make_attention(config: SpaceConfig) -> AttentionCore:
    """Attention of a configuration; forms with weights are modules, one per layer.

    Raises
    ------
    ValueError
        The name is unknown.
    """
    if config.attention not in ATTENTIONS:
        raise ValueError(f"attention={config.attention!r} is unknown; choose from {', '.join(ATTENTIONS)}")
    form = ATTENTIONS[config.attention]
    return form(config) if isinstance(form, type) else form
