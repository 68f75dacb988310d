"""Fit runs: read inputs, give a learner a black box, write the files of the run.

The entry point is ``python -m craft.fit``. Only this package imports both boxes and learners.
"""
