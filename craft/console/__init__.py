"""The command ``craft``: one subcommand a module, each imported only where it is called.

Nothing here decides a result.
"""
