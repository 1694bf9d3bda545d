"""Collection: chains come in from a feed, become durable in the journal, and are handed out."""
