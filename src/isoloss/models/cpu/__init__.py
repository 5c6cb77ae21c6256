"""The training step of a llama-shaped model on one CPU thread, compiled: docs/reference/training-step.md.

A plug-in: `isoloss.models.plain` computes the same in torch's own operations. Nobody needs this room to understand the
rest.
"""
