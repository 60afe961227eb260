"""Learning to paint: environments, the strategist's network, its training, its checkpoints, and painting with it."""
