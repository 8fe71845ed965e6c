"""The prefill→decode wire: field names, tickets, the decode endpoint contract, KV transport."""
