//! AWS services of the local stack, over their wire protocols.
