"""One process: how a command starts, ends, reports its progress and what it uses.

Nothing here decides a result; every other room may import this one.
"""
