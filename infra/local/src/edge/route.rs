//! A route of an HTTP API: a method, a path with parameters, and the function behind it.
//!
//! API Gateway picks the most specific route: literal segments before `{parameter}` before greedy
//! `{parameter+}`, and a method before `ANY`.

use std::collections::BTreeMap;

use crate::deployment;

/// All routes of an API.
#[derive(Debug)]
pub struct Routes {
    routes: Vec<Route>,
}

/// A route and what it takes to be called.
#[derive(Debug)]
pub struct Route {
    /// As events name it, for example `GET /v1/linked-accounts/{id}`.
    pub key: String,
    method: String,
    segments: Vec<Segment>,
    /// Cargo binary of the function.
    pub binary: String,
    /// Needs a valid token.
    pub jwt: bool,
    /// The token must carry at least one of these; empty: any.
    pub scopes: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Parameter(String),
    Greedy(String),
}

impl Routes {
    /// `binaries` maps logical ids to binaries; a route to anything else never matches.
    pub fn new(routes: &[deployment::Route], binaries: &BTreeMap<String, String>) -> Self {
        let routes = routes.iter().filter_map(|route| {
            Some(Route {
                key: format!("{} {}", route.method, route.path),
                method: route.method.clone(),
                segments: split(&route.path).map(Segment::parse).collect(),
                binary: binaries.get(&route.function)?.clone(),
                jwt: route.jwt,
                scopes: route.scopes.clone(),
            })
        });
        Self { routes: routes.collect() }
    }

    /// The most specific route for a decoded path, with its path parameters.
    pub fn find(&self, method: &str, path: &str) -> Option<(&Route, BTreeMap<String, String>)> {
        let path: Vec<_> = split(path).collect();
        self.routes
            .iter()
            .filter(|route| route.method == method || route.method == "ANY")
            .filter_map(|route| Some((route, capture(&route.segments, &path)?)))
            .min_by_key(|(route, _)| (route.specificity(), route.method == "ANY"))
    }
}

impl Route {
    /// Smaller is more specific: the kind of each segment, from the left.
    fn specificity(&self) -> Vec<u8> {
        let kind = |segment: &Segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Parameter(_) => 1,
            Segment::Greedy(_) => 2,
        };
        self.segments.iter().map(kind).collect()
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Greedy(name.to_owned()),
                None => Self::Parameter(name.to_owned()),
            },
            None => Self::Literal(text.to_owned()),
        }
    }
}

fn split(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

fn capture(segments: &[Segment], path: &[&str]) -> Option<BTreeMap<String, String>> {
    let mut parameters = BTreeMap::new();
    let mut rest = path.iter();
    for segment in segments {
        match segment {
            Segment::Literal(expected) if rest.next()? == expected => {}
            Segment::Literal(_) => return None,
            Segment::Parameter(name) => {
                let value = rest.next().filter(|value| !value.is_empty())?;
                parameters.insert(name.clone(), (*value).to_owned());
            }
            Segment::Greedy(name) => {
                let value = rest.as_slice().join("/");
                if value.is_empty() {
                    return None;
                }
                parameters.insert(name.clone(), value);
                return Some(parameters);
            }
        }
    }
    rest.next().is_none().then_some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expected: Option<(&str, &[(&str, &str)])>) {
        let keys = [
            "GET /",
            "GET /assets/{path+}",
            "GET /v1/accounts",
            "GET /v1/accounts/{id}",
            "GET /v1/accounts/{id}/records/{model}",
            "GET /v1/accounts/special",
            "DELETE /v1/accounts/{id}",
            "ANY /v1/{path+}",
        ];
        let routes: Vec<_> = keys
            .iter()
            .map(|key| {
                let (method, path) = key.split_once(' ').expect("a key");
                deployment::Route {
                    method: method.to_owned(),
                    path: path.to_owned(),
                    function: "F".to_owned(),
                    ..Default::default()
                }
            })
            .collect();
        let routes = Routes::new(&routes, &BTreeMap::from([("F".to_owned(), "f".to_owned())]));
        let found = routes.find(method, path);
        let found = found.as_ref().map(|(route, parameters)| {
            (route.key.as_str(), parameters.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>())
        });
        assert_eq!(found, expected.map(|(key, parameters)| (key, parameters.to_vec())), "{method} {path}");
    }

    #[test]
    fn the_most_specific_route_wins() {
        check("GET", "/", Some(("GET /", &[])));
        check("GET", "/assets/a/b.js", Some(("GET /assets/{path+}", &[("path", "a/b.js")])));
        check("GET", "/assets", None);
        check("GET", "/assets/", None);
        check("GET", "/v1/accounts", Some(("GET /v1/accounts", &[])));
        check("GET", "/v1/accounts/special", Some(("GET /v1/accounts/special", &[])));
        check("GET", "/v1/accounts/7", Some(("GET /v1/accounts/{id}", &[("id", "7")])));
        check("DELETE", "/v1/accounts/7", Some(("DELETE /v1/accounts/{id}", &[("id", "7")])));
        check("PATCH", "/v1/accounts/7", Some(("ANY /v1/{path+}", &[("path", "accounts/7")])));
        check(
            "GET",
            "/v1/accounts/7/records/hris.Employee",
            Some(("GET /v1/accounts/{id}/records/{model}", &[("id", "7"), ("model", "hris.Employee")])),
        );
        check("POST", "/nothing", None);
    }
}
