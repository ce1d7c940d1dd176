"""`hotline benchmark`: every budget of the gateway measured on this machine, beside the peers'."""
