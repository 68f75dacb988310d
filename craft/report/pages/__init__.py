"""The pages of the report beside its tables and figures: a front page, and one for each method.

Each is one HTML file that fetches nothing. Styles hold inside ``.craft`` alone, as Snakemake shows
the front page within its own.
"""
