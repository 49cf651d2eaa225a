"""How often interruptible work saves a checkpoint, and what interruptions cost it."""
