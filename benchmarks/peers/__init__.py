"""Other libraries' sequential recommenders beside ours: same data, same machine, in turns, in one run.

Each peer is installed from its packages into an environment of its own (``install``), is given the prepared dataset in
the format it reads (:mod:`benchmarks.peers.conversion`: same users, items, order and split), and is held by a process
that measures when asked. A measurement asks the peers and ours in turns, so that a machine that grows slower or is
disturbed hits all alike, and gives ratios with their range. Nothing of the peers is needed by the product.

Each peer runs *as shipped* and *tuned* (:data:`benchmarks.peers.systems.VARIANTS`).

    python -m benchmarks.peers install
    python -m benchmarks.peers inference --dataset ml-1m
    python -m benchmarks.peers epoch --dataset ml-1m
    python -m benchmarks.peers time-to-ndcg --dataset ml-100k --system rectools --epochs 15

Results are JSON files in ``benchmarks/results/peers``. To add a peer: a worker such as
:mod:`benchmarks.peers.rectools_worker`, a requirements file, and an entry in :mod:`benchmarks.peers.systems`.
"""
