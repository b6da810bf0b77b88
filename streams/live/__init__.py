"""The live loop: consumer, tagger, checkpoint, takeover, erasing."""
