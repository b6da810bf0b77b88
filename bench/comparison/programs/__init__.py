"""The programs that are compared: one script per framework, each alone in its process."""
