"""``easrec bench``: latency, training time and memory, and how they scale.

Each measurement is a file that ends with a :class:`~easrec_nni.bench.measurement.Measurement`, and a line in
:mod:`easrec_nni.bench.measurements`; it runs in a separate process, so that its peak memory includes nothing else. To
add one: such a file, and such a line. Alternatives are measured in alternation
(:func:`~easrec_nni.bench.repeats.in_turns`); a point whose memory is measured separately runs in a further process
(``Bench.in_own_process``).

``latency.py`` and ``latency_report.py`` are ``easrec profile``: times of a space's parts, which predict latencies.
"""
