"""The decisions: what to do with a message, a batch or a step; no sockets, threads or clock."""
