//! The connect page's section. Its values go into the Content-Security-Policy and `/config.json`,
//! so hosts are checked for characters that would end a directive.

use url::Url;

use super::{Reader, Section};
use crate::domain::category::Category;

/// How the page presents the systems that can be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageMode {
    /// One Connect button per category.
    Simple,
    /// A catalogue of integrations.
    AppCentre,
}

/// Language of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageLocale {
    /// English.
    En,
    /// German.
    De,
    /// What the person's browser prefers of them, else English.
    Auto,
}

/// The connect page.
#[derive(Clone, Debug)]
pub struct Page {
    /// `OIDC_ISSUER`: issuer URL with which people sign in.
    pub issuer: String,
    /// `OIDC_CLIENT_ID`: public client id of the page.
    pub client_id: String,
    /// `SCOPE_PREFIX`, default `tether/`: put before every scope name.
    pub scope_prefix: String,
    /// `ALLOW_INSECURE_ISSUER`, default `false`: sign in over plain HTTP; only the local stack
    /// sets it.
    pub allow_insecure_issuer: bool,
    /// `LINK_SCRIPT_URL`: the script that opens the connection dialog.
    pub link_script_url: String,
    /// `LINK_API_HOST`: origin that the dialog calls, without `/api`.
    pub link_api_host: String,
    /// `IMG_SRC_HOSTS`, CSP sources, default `https:`: where integration logos may come from.
    pub img_src_hosts: Vec<String>,
    /// `FRAME_ANCESTORS`, origins, default none: who may embed the page.
    pub frame_ancestors: Vec<String>,
    /// `BRAND_NAME`, default `Tether`.
    pub brand_name: String,
    /// `BRAND_LOGO`, URL, default none.
    pub brand_logo: Option<String>,
    /// `BRAND_ACCENT`, `#rrggbb`, default `#3454d1`.
    pub brand_accent: String,
    /// `PAGE_CATEGORIES`, default all seven: the categories offered, in this order.
    pub categories: Vec<Category>,
    /// `PAGE_MODE`, default `simple`.
    pub mode: PageMode,
    /// `PAGE_LOCALE`, default `en`.
    pub locale: PageLocale,
    /// `ORIGIN_ID_STRATEGY`, default `many_per_category`: with one system per category the page offers to replace it.
    pub one_per_category: bool,
}

impl Section for Page {
    fn read(reader: &mut Reader<'_>) -> Self {
        let allow_insecure_issuer = reader.choice("ALLOW_INSECURE_ISSUER", &[("false", false), ("true", true)]);
        let brand_accent = reader.text_or("BRAND_ACCENT", "#3454d1");
        let is_colour = brand_accent.len() == 7
            && brand_accent.starts_with('#')
            && brand_accent[1..].bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_colour {
            reader.fault("BRAND_ACCENT", "must be a colour such as #3454d1");
        }
        Self {
            issuer: reader.https_url("OIDC_ISSUER"),
            client_id: reader.required("OIDC_CLIENT_ID"),
            scope_prefix: reader.text_or("SCOPE_PREFIX", "tether/"),
            allow_insecure_issuer,
            link_script_url: reader.https_url("LINK_SCRIPT_URL"),
            link_api_host: reader.https_url("LINK_API_HOST"),
            img_src_hosts: sources(reader, "IMG_SRC_HOSTS", &["https:"]),
            frame_ancestors: sources(reader, "FRAME_ANCESTORS", &[]),
            brand_name: reader.text_or("BRAND_NAME", "Tether"),
            brand_logo: reader.optional("BRAND_LOGO"),
            brand_accent,
            categories: categories(reader),
            mode: reader.choice("PAGE_MODE", &[("simple", PageMode::Simple), ("app_centre", PageMode::AppCentre)]),
            locale: reader
                .choice("PAGE_LOCALE", &[("en", PageLocale::En), ("de", PageLocale::De), ("auto", PageLocale::Auto)]),
            one_per_category: reader
                .choice("ORIGIN_ID_STRATEGY", &[("many_per_category", false), ("one_per_category", true)]),
        }
    }
}

/// CSP sources: origins, `https:`, hosts with a wildcard. Nothing that could end the directive.
fn sources(reader: &mut Reader<'_>, variable: &'static str, default: &[&str]) -> Vec<String> {
    let sources = reader.list(variable);
    let harmless =
        |source: &String| source.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/.-_*[]".contains(&byte));
    if !sources.iter().all(harmless) {
        reader.fault(variable, "must be hosts or origins separated by spaces");
    }
    if sources.is_empty() { default.iter().map(|source| (*source).to_owned()).collect() } else { sources }
}

fn categories(reader: &mut Reader<'_>) -> Vec<Category> {
    let names = reader.list("PAGE_CATEGORIES");
    if names.is_empty() {
        return Category::ALL.to_vec();
    }
    names.iter().map(|name| name.parse()).collect::<Result<_, _>>().unwrap_or_else(|_| {
        reader.fault("PAGE_CATEGORIES", format!("must be some of {}", Category::ALL.map(Category::slug).join(", ")));
        Vec::new()
    })
}

/// The origin (scheme, host, port) of a URL that [`Reader::https_url`] accepted.
fn origin(url: &str) -> String {
    Url::parse(url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

impl Page {
    /// Origin of the dialog's script.
    pub fn link_script_origin(&self) -> String {
        origin(&self.link_script_url)
    }

    /// Origin of what the dialog calls.
    pub fn link_api_origin(&self) -> String {
        origin(&self.link_api_host)
    }

    /// Origin of the brand's logo, when it is on a host of its own.
    pub fn brand_logo_origin(&self) -> Option<String> {
        let url = Url::parse(self.brand_logo.as_deref()?).ok()?;
        url.has_host().then(|| url.origin().ascii_serialization())
    }

    /// Origin of the issuer.
    pub fn issuer_origin(&self) -> String {
        origin(&self.issuer)
    }
}
