//! Integration: a third party that Merge connects to. A built-in catalogue over all seven categories.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::models;

/// One row of `data/integrations.csv`.
#[derive(Debug)]
pub struct Integration {
    pub slug: &'static str,
    pub name: &'static str,
    pub color: &'static str,
    pub categories: Vec<&'static str>,
}

static CATALOGUE: LazyLock<Vec<Integration>> = LazyLock::new(|| {
    let lines = include_str!("../data/integrations.csv").lines().skip(1);
    lines
        .filter_map(|line| {
            let [slug, name, color, categories] = line.splitn(4, ',').collect::<Vec<_>>().try_into().ok()?;
            Some(Integration { slug, name, color, categories: categories.split(' ').collect() })
        })
        .collect()
});

/// The whole catalogue.
pub fn all() -> &'static [Integration] {
    &CATALOGUE
}

pub fn by_slug(slug: &str) -> Option<&'static Integration> {
    all().iter().find(|integration| integration.slug == slug)
}

/// Whether every operation names its fields: a page of linked accounts would be megabytes of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    Named,
    Omitted,
}

impl Integration {
    /// AccountIntegration: in the exchange's answer and in both catalogues. `base` is the sandbox's own address.
    pub fn to_json(&self, base: &str) -> Value {
        json!({
            "name": self.name,
            "abbreviated_name": self.name,
            "categories": self.categories,
            "image": format!("{base}/logos/{}.svg", self.slug),
            "square_image": format!("{base}/logos/{}-square.svg", self.slug),
            "color": self.color,
            "slug": self.slug,
            "api_endpoints_to_documentation_urls": {},
            "webhook_setup_guide_url": null,
            "category_beta_status": {},
        })
    }

    /// The third shape: in linked-accounts and, with `fields`, in available-actions.
    pub fn with_actions(&self, base: &str, fields: Fields) -> Value {
        let models = self.categories.iter().flat_map(|category| models::of_category(category));
        let operations: Vec<Value> = models
            .map(|(_, model)| {
                let names = model.fields.iter().map(|field| field.name.as_str());
                let fields: Vec<&str> = names.filter(|_| fields == Fields::Named).collect();
                json!({
                    "model_name": model.name,
                    "available_operations": ["FETCH"],
                    "required_post_parameters": [],
                    "supported_fields": fields,
                })
            })
            .collect();
        json!({
            "name": self.name,
            "categories": self.categories,
            "image": format!("{base}/logos/{}.svg", self.slug),
            "square_image": format!("{base}/logos/{}-square.svg", self.slug),
            "color": self.color,
            "slug": self.slug,
            "passthrough_available": true,
            "available_model_operations": operations,
        })
    }

    /// A lettered logo: a rounded square, or (wide) with the name beside it.
    pub fn logo(&self, is_square: bool) -> String {
        let letters: String = self.name.chars().filter(char::is_ascii_uppercase).take(2).collect();
        let letters = if letters.is_empty() { self.name.chars().take(1).collect() } else { letters };
        let name = self.name.replace('&', "&amp;");
        let width = if is_square { 96 } else { 120 + self.name.chars().count() * 26 };
        let label = if is_square {
            String::new()
        } else {
            format!(r##"<text x="112" y="62" font-size="42" fill="#1f2933">{name}</text>"##)
        };
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} 96" role="img" font-family="sans-serif"><title>{name}</title><rect width="96" height="96" rx="20" fill="{}"/><text x="48" y="63" font-size="42" text-anchor="middle" fill="#ffffff">{letters}</text>{label}</svg>"##,
            self.color
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_covers_every_category() {
        assert!(all().len() >= 60);
        for category in models::CATEGORIES {
            assert!(all().iter().filter(|i| i.categories.contains(&category)).count() >= 4, "{category}");
        }
        assert!(all().iter().all(|i| i.categories.iter().all(|c| models::CATEGORIES.contains(c))));
    }
}
