"""The registry of prompt holders for engines on several hosts: leases and transactions of an etcd v3 cluster."""
