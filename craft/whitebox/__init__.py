"""Baselines that take gradients through the model, for comparison.

Nothing in ``craft.learner`` imports them.
"""
