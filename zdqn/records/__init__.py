"""What a run keeps and says: its directory, checkpoints, snapshots, metrics, totals, verdict."""
