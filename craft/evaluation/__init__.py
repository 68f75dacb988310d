"""Scores of runs: predictions meet test labels here and nowhere else.

``gather`` makes one table of all runs.
"""
