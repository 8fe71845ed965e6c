"""What is measured, traced and logged."""
