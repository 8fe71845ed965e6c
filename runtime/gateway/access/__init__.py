"""Who may call: tenants, and the keys behind them."""
