"""An ARM64 machine emulated here by qemu, reached by ssh."""
