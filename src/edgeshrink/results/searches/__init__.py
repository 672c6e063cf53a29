"""What a search found: its report, and its sentences and cells."""
