"""Tuned models: make them from a user's images, export them from a run, apply them to images.

Nothing here decides a number: splits, features, fits and scores come from the pipeline.
"""
