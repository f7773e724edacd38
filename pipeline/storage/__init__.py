"""The day files: their names, appends, syncs and what the pipeline remembers of them."""
