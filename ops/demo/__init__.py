"""The demo: shoppers tagged live on real servers, and the proof that nothing was lost."""
