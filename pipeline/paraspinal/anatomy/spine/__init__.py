"""The spine: canal, coordinates along it, bodies and discs, vertebrae and their names."""
