"""What KV in memory looks like, how it moves between two layouts, and how one becomes the other; needs numpy."""
