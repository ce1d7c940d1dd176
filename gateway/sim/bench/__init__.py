"""`hotline bench`: two gateways as real processes on one machine, used through real parts."""
