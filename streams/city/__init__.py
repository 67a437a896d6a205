"""One city: what its partitions contribute, and the ledger that sums them."""
