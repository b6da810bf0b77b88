"""The programs that race: one script a framework, each alone in its process."""
