"""What a person sees of a run in progress: the bar in the terminal, progress.json, the stage status."""
