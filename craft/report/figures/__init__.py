"""Figures of the paper from the scores of runs: PDF, PNG, and the plotted numbers as CSV."""
