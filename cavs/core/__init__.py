"""The computation: the vertex function F, its gradient, and the program compiled from them.

Nothing in this package knows a graph instance or a device.
"""
