"""The gateway: takes OpenAI requests, has them prefilled and decoded by peers, and relays the answer."""
