"""Tables of the paper from the scores of runs: tidy CSV, and Markdown and LaTeX as printed."""
