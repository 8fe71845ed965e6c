"""Read KV that a prefill worker keeps: shake hands, plan what lies where, READ it window by window, and verify."""
