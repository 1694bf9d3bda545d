"""Settings of the storage service."""

from __future__ import annotations

from pydantic import Field

from optrading.common.settings import ServiceSettings


class StorageSettings(ServiceSettings):
    """What storage needs to know beside what every service does.

    Attributes:
        roll_interval_s: How often unsealed chains are sealed into Parquet files, seconds.
        roll_rows: Unsealed rows of one index (a row is one strike of one expiry) that are sealed without waiting.
        ingest_batch_chains: Most chains in one transaction.
        ingest_batch_bytes: Most serialized bytes in one transaction, apart from its last chain.
        ingest_linger_s: How long a transaction waits for more chains to join it, seconds.
        reorder_chains: Most chains of one index that are held because an earlier one is missing.
        reorder_wait_s: How long they are held before the missing one is asked for again, seconds.
        discovery_interval_s: How often collection is asked which indices there are, seconds.
        duckdb_memory_limit_mb: Memory of the query engine; larger sorts go to a temporary folder.
        duckdb_threads: Threads of one query.
        read_threads: Reads that make progress at the same time.
        open_reads: Most reads that are open at the same time. One whose reader is slow holds some 20 MB.
    """

    listen_address: str = "127.0.0.1:50052"
    roll_interval_s: float = Field(default=300.0, gt=0)
    roll_rows: int = Field(default=250_000, ge=1)
    ingest_batch_chains: int = Field(default=64, ge=1)
    ingest_batch_bytes: int = Field(default=8 * 1024 * 1024, ge=1)
    ingest_linger_s: float = Field(default=0.01, ge=0, le=1)
    reorder_chains: int = Field(default=64, ge=1)
    reorder_wait_s: float = Field(default=1.0, gt=0)
    discovery_interval_s: float = Field(default=5.0, gt=0)
    duckdb_memory_limit_mb: int = Field(default=512, ge=64)
    duckdb_threads: int = Field(default=2, ge=1)
    read_threads: int = Field(default=4, ge=1)
    open_reads: int = Field(default=32, ge=1)
