"""The best size of a budget: approaches 1 and 2."""
