"""The mesh on one machine: certificates, ports, credentials, processes."""
