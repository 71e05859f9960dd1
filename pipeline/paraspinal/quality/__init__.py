"""What this scan can carry: noise, resolution, contrast phase."""
