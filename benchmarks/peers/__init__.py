"""Comparison with other libraries' sequential recommenders: same data, machine and run.

Each peer is installed from its packages into a separate environment (``install``), gets the prepared dataset in the
format it reads (:mod:`benchmarks.peers.conversion`: same users, items, order and split), and runs in a worker process
that measures on request. A measurement alternates between the peers and ours, so that other load on the machine affects
all alike, and gives ratios with their range. The toolkit itself needs no peer.

Each peer runs *as shipped* and *tuned* (:data:`benchmarks.peers.systems.VARIANTS`).

    python -m benchmarks.peers install
    python -m benchmarks.peers inference --dataset ml-1m
    python -m benchmarks.peers epoch --dataset ml-1m
    python -m benchmarks.peers time-to-ndcg --dataset ml-100k --system rectools --epochs 15

Results are JSON files in ``benchmarks/results/peers``. To add a peer: a worker such as
:mod:`benchmarks.peers.rectools_worker`, a requirements file, and an entry in :mod:`benchmarks.peers.systems`.
"""
