"""Estimate the cost of a target before it runs: jobs, queries, images, disk and hours.

It measures and writes nothing; the command is ``craft plan`` (craft.console).
"""
