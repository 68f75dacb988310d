"""Configuration that a user wrote: read, validated, completed with defaults.

``load.load`` is the way in; ``python -m craft.config FILE`` checks a suite without Snakemake.
"""
