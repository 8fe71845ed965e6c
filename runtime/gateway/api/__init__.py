"""What clients speak to: routes, their guard, errors in the words of each API."""
