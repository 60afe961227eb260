"""Learning to paint: runs and their records, environments, policies, training and search."""
