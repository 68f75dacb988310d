"""Configuration that a user wrote: read, validated, completed with defaults.

The entry point is ``load.load``; ``python -m craft.config FILE`` validates a suite alone.
"""
