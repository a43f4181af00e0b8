pub mod aws;
pub mod deployment;
pub mod provision;
pub mod template;
