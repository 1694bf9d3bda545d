"""Where chains come from: `replay` plays a recording, `synthetic` makes a market. All feeds have one shape."""
