//! A template: `infra/template.yaml`, the SAM document that describes the whole system, read and
//! resolved into a [`Deployment`]. Resolution needs no call to anything: physical names follow from
//! the stack's name, so every `!Ref` and `!GetAtt` has its value before the first resource exists.
//!
//! It reads the part of CloudFormation that the template uses and refuses the rest by name: what the
//! local stack would silently do differently from AWS is an error here.

mod document;
mod error;
mod functions;
mod http_api;
mod intrinsics;
mod parameters;
mod physical;
mod properties;
mod resources;
mod stores;

use std::collections::BTreeMap;
use std::path::Path;

pub use error::{Place, TemplateError};

use crate::deployment::Deployment;
use document::Document;
use intrinsics::Resolver;
use resources::Resources;

/// What a template is resolved against.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Prefix of every physical name, for example `tether-local`.
    pub stack_name: String,
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
    /// Where the AWS services answer, without a trailing slash; queue URLs begin with it.
    pub aws_endpoint: String,
    /// `!GetAtt HttpApi.ApiEndpoint`, without a trailing slash.
    pub api_endpoint: String,
    /// `!GetAtt WebhookFunctionUrl.FunctionUrl`, with its trailing slash as in AWS.
    pub function_url: String,
    /// Parameter values that replace the defaults.
    pub parameters: BTreeMap<String, String>,
}

/// Reads the SAM template at `path` and resolves it.
///
/// # Errors
///
/// One sentence that names the file and, where there is one, the parameter, condition, resource or
/// output and the property in it that is at fault.
pub fn load(path: &Path, inputs: &Inputs) -> Result<Deployment, TemplateError> {
    let text = std::fs::read_to_string(path).map_err(|source| TemplateError::Read { file: path.to_owned(), source })?;
    let document = Document::parse(path, &text)?;
    let parameters = parameters::resolve(&document, inputs)?;
    let resolver = Resolver::new(&document, inputs, parameters);
    let resources = Resources::resolve(&resolver)?;

    let mut deployment = Deployment::default();
    stores::collect(&resources, &mut deployment)?;
    functions::collect(&resources, &mut deployment)?;
    http_api::collect(&resources, &mut deployment)?;
    for (name, output) in document.entries("Outputs")? {
        let place = Place::new("output", name);
        if !resolver.wanted(output, &place)? {
            continue;
        }
        let value = output.get("Value").ok_or_else(|| document.fault(&place, "has no Value"))?;
        let at = place.property("Value");
        match resolver.resolve(value, &at)? {
            Some(value) => {
                let text = properties::text(&value).ok_or_else(|| document.fault(&at, "must be a single value"))?;
                deployment.outputs.insert(name.to_owned(), text);
            }
            None => return Err(document.fault(&at, "must not be AWS::NoValue")),
        }
    }
    Ok(deployment)
}
