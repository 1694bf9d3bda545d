"""The gateway: Envoy's configuration rendered from the contract, and the health of the mesh behind it."""
