"""Analytics: volatilities, Greeks and summaries of every chain, computed once per snapshot."""
