"""Architecture table: figures of every architecture of a space, trained from scratch with several seeds.

* ``documents.py``: the table's file; ``table.py``: :class:`ArchitectureTable`, which answers from it
* ``build_folder.py``: folder of a build and its runs; ``order.py``: order of the runs
* ``building.py``: runs trained in this process; ``collecting.py``: table of the complete runs
* ``agreement.py``: rank correlation of a supernet's figures with a table
"""
