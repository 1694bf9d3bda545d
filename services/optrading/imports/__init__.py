"""Files of others as chains: exchanges' end-of-day files and recordings; what is wrong with a row is said of it."""
