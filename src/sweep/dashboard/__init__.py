"""One's own results beside the official ones, on one page."""
