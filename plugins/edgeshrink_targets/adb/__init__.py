"""Android devices, reached by the user's own adb."""
