"""TiraStore beside its peers, as whole processes: ``python -m benches.peers --help``."""
