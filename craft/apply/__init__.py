"""Tuned models outside a suite: made of one's own images, exported from a run, applied to images.

Nothing here decides a number: splits, features, fits and scores are the pipeline's own.
"""
