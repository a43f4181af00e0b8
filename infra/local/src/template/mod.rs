//! The SAM template, resolved into a deployment.
