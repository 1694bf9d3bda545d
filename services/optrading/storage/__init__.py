"""Storage: every chain that was ever collected, durable once acknowledged, answered by time."""
