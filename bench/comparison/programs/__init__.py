"""The programs that are compared: one script a framework, each alone in its process."""
