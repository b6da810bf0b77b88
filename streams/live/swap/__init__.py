"""Swaps in the live loop: the champion, its shadow, and announcing buyers again."""
