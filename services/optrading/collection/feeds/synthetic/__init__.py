"""A market made up from a seed: six indices, no account and no file, open at any hour of any day."""

from optrading.collection.feeds.synthetic.feed import SyntheticFeed
from optrading.collection.feeds.synthetic.market import SyntheticMarket

__all__ = ["SyntheticFeed", "SyntheticMarket"]
