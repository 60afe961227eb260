"""From a target picture to strokes: strategists propose them, the technician refines them through the twin."""
