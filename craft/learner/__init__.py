"""Learners that tune a black box by its answers.

They reach the model through ``craft.protocol`` alone, which an import contract and a test hold.
"""
