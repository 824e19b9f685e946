"""Images that are the same, or nearly: found without comparing each with each, within a split and between splits."""
