"""The wire: message layouts, their encoding, and the ZeroMQ sockets that carry them.

Nothing above this package imports zmq, and nothing in it imports torch, gymnasium or pickle.
``docs/protocol.md`` describes every byte.
"""
