//! Random octets from the kernel.
