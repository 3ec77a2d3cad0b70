"""Container runtimes: what they tell of their containers. Each is listened to in a thread of its own."""
