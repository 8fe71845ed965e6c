"""What machines and models are, as data: each figure with where it comes from and how sure it is."""
