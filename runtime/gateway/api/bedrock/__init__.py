"""Bedrock Runtime's API over the same providers: read its requests as chats, and write answers as it does."""
