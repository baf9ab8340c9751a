"""``easrec bench``: how long users wait, how much memory that takes, and how it grows.

Each measurement is a file that ends with a :class:`~easrec_nni.bench.measurement.Measurement`, and a line in
:mod:`easrec_nni.bench.measurements`; it runs in a process of its own, so that its peak of memory is its own. To add
one: such a file, and such a line. What is compared takes turns (:func:`~easrec_nni.bench.repeats.in_turns`); a point
whose memory is measured by itself runs in a further process (``Bench.in_own_process``).
"""
