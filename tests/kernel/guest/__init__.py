"""Run commands of this machine's file system under another Linux kernel."""
