"""What a person sees of a run on the way: the bar in the terminal, progress.json, the stage status."""
