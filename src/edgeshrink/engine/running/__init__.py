"""A run: its models, its samples, and the stages that are made one by one."""
