"""Where chains are kept: the catalog in SQLite and sealed files in Parquet."""
