"""How a model learns: one loop, losses, teachers, and what steps before it made and it keeps."""
