"""Further pages of the report: a front page, and one for each method.

Each is one HTML file that needs no network. Styles apply only inside ``.craft``, because Snakemake
embeds the front page in its own.
"""
