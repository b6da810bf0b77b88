"""The planner: what a load needs, from figures that were measured."""
