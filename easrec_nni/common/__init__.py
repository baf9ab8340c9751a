"""Functions that every folder may use and that know nothing of recommenders: errors, files, YAML, text, provenance.

Nothing here imports torch, NNI, or another folder of the toolkit. To add something, check first that two folders need
it: what only one folder needs lies there.
"""
