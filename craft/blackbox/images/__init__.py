"""Image features, computed once per backbone and data set.

The entry point is ``python -m craft.blackbox.images``.
"""
