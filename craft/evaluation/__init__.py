"""Scores of runs: only this package compares predictions with test labels.

``gather`` makes one table of all runs.
"""
