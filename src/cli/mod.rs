//! One file a program: flags become settings, settings an order for an agent.
