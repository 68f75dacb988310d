"""Learners that tune a black box by its answers.

They use the model only through ``craft.protocol``; an import contract and a test ensure this.
"""
