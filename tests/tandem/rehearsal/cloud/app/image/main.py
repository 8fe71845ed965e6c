"""Stand for a program in an image."""

print("hello")
