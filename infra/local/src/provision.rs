//! Provisioning: the resources of a deployment, created at an AWS-compatible endpoint.
