"""Adapters: payloads of vendors and shops -> Event. One file per vendor."""
