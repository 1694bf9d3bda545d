"""Zerodha's Kite Connect: live ticks of listed options, cut into chains."""
