"""The contract and the kernel side: what is recorded is declared here and captured here. Standard library only."""
