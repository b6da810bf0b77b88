"""Commands of the encoder: train, evaluate, retrain, its versions and its personas."""
