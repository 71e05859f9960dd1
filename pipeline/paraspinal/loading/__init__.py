"""Files to a volume: series are found, chosen, checked and read."""
