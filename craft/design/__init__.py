"""The design of the experiment: which runs a configuration asks for, with which options.

Pure Python on plain dictionaries; a workflow asks it at parse time.
"""
