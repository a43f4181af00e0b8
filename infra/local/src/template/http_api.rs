//! The HTTP API: the routes of a template's `AWS::ApiGatewayV2::Api`, the functions behind them and
//! the authorizer before them.

use super::error::TemplateError;
use super::properties::Properties;
use super::resources::{Resource, Resources};
use crate::deployment::{Deployment, JwtAuthorizer, Route};

/// Adds every route, the authorizer and the CORS origins of the template to `deployment`.
pub fn collect(resources: &Resources, deployment: &mut Deployment) -> Result<(), TemplateError> {
    let mut authorizer: Option<(String, JwtAuthorizer)> = None;
    for resource in resources.of_kind("AWS::ApiGatewayV2::Route") {
        let properties = resources.properties(resource);
        let key = properties.text("RouteKey")?;
        let (method, path) = key
            .split_once(' ')
            .filter(|(_, path)| path.starts_with('/'))
            .ok_or_else(|| properties.fault("RouteKey", format!("is {key:?}, not METHOD /path")))?;
        let jwt = match properties.optional_text("AuthorizationType")?.as_deref() {
            None | Some("NONE") => false,
            Some("JWT") => {
                let name = properties.text("AuthorizerId")?;
                let found = jwt_authorizer(resources, &properties, &name)?;
                match &authorizer {
                    Some((known, _)) if *known != name => {
                        return Err(properties.fault(
                            "AuthorizerId",
                            format!("is {name}, but other routes name {known}; only one authorizer is supported"),
                        ));
                    }
                    _ => authorizer = Some((name, found)),
                }
                true
            }
            Some(other) => {
                return Err(
                    properties.fault("AuthorizationType", format!("is {other}; only JWT and NONE are supported"))
                );
            }
        };
        let route = Route {
            method: method.to_owned(),
            path: path.to_owned(),
            function: function_behind(resources, &properties)?,
            jwt,
            scopes: properties.texts("AuthorizationScopes")?,
        };
        let twin = |known: &&Route| known.method == route.method && known.path == route.path;
        if deployment.routes.iter().find(twin).is_some() {
            return Err(properties.fault("RouteKey", format!("is {key:?}, as of another route")));
        }
        deployment.routes.push(route);
    }
    deployment.authorizer = authorizer.map(|(_, authorizer)| authorizer);
    for resource in resources.of_kind("AWS::ApiGatewayV2::Api") {
        let properties = resources.properties(resource);
        if let Some(cors) = properties.child("CorsConfiguration")? {
            deployment.cors_origins.extend(cors.texts("AllowOrigins")?);
        }
    }
    Ok(())
}

fn jwt_authorizer(resources: &Resources, route: &Properties, name: &str) -> Result<JwtAuthorizer, TemplateError> {
    let resource = resources
        .get("AWS::ApiGatewayV2::Authorizer", name)
        .ok_or_else(|| route.fault("AuthorizerId", format!("is {name}, no authorizer")))?;
    let properties = resources.properties(resource);
    let kind = properties.text("AuthorizerType")?;
    if kind != "JWT" {
        return Err(properties.fault("AuthorizerType", format!("is {kind}; only JWT is supported")));
    }
    let jwt =
        properties.child("JwtConfiguration")?.ok_or_else(|| properties.fault("JwtConfiguration", "is missing"))?;
    Ok(JwtAuthorizer { issuer: jwt.text("Issuer")?, audiences: jwt.texts("Audience")? })
}

/// Logical id of the function that the route's integration invokes.
fn function_behind(resources: &Resources, route: &Properties) -> Result<String, TemplateError> {
    let target = route.text("Target")?;
    let integration: &Resource = target
        .strip_prefix("integrations/")
        .and_then(|id| resources.get("AWS::ApiGatewayV2::Integration", id))
        .ok_or_else(|| route.fault("Target", format!("is {target:?}, no integration")))?;
    let integration = resources.properties(integration);
    let uri = integration.text("IntegrationUri")?;
    let version = integration.text("PayloadFormatVersion")?;
    if version != "2.0" {
        return Err(integration.fault("PayloadFormatVersion", format!("is {version}; only 2.0 is supported")));
    }
    // Either the function's ARN or API Gateway's invocation path around it.
    let arn = uri.split_once("/functions/").and_then(|(_, rest)| rest.strip_suffix("/invocations")).unwrap_or(&uri);
    // On this machine an alias is its function: arn:aws:lambda:{region}:{account}:function:{name}[:{alias}].
    let arn = arn.splitn(8, ':').take(7).collect::<Vec<_>>().join(":");
    resources
        .by_arn("AWS::Serverless::Function", &arn)?
        .map(|function| function.logical_id.clone())
        .ok_or_else(|| integration.fault("IntegrationUri", format!("is {uri:?}, no function of this template")))
}
