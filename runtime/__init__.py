"""What ships to AWS, and (in ``standins``) what takes its place on a laptop."""
