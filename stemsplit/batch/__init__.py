"""From inputs and options to results: discovery, planning, scheduling, workers, locks."""
