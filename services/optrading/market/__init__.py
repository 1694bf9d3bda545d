"""Pure values that every service shares: chains, indices, buckets, strikes. No I/O."""
