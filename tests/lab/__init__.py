"""A virtual Spark pair: two QEMU guests with soft-RoCE, sshd, Docker and NCCL's own network code."""
