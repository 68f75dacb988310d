"""Image features, computed once per backbone and data set.

``python -m craft.blackbox.images`` is the way in.
"""
