"""Shared helpers without recommender logic: errors, files, YAML, text, provenance.

Nothing here imports torch, NNI, or another folder of the toolkit. Add something only if two folders need it; a helper
of one folder belongs in that folder.
"""
