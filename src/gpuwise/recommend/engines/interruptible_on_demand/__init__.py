"""How often interruptible work should save a checkpoint, and what interruptions cost."""
