"""Who decodes a request, what follows a failure, and how the answer is passed on."""
