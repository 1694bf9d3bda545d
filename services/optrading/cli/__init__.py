"""The `optrading` command: run the mesh, look at chains and Greeks, check that all is well."""
