"""Tables and figures, with the paper's printed numbers beside them.

They are made only from scores; this package reads no images and no models.
"""
