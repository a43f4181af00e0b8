//! An endpoint: one of Merge's list routes, the unit that is synced, checkpointed and stored. Model ids repeat
//! (`ticketing.User` is listed at two routes), so an endpoint is keyed by the slug of its list path.
//!
//! Left out is what Merge does not list: shapes that are only retrieved one by one (accounting's addresses, phone
//! numbers and asynchronous tasks), and lists of metadata rather than records (types of groups, field classes, live
//! search).

use super::{category::Category, endpoint_table::ENDPOINTS};

/// One list route of Merge and what its records can do.
#[derive(Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub category: Category,
    /// Display name, for example `Employee`.
    pub model_name: &'static str,
    /// Merge's id of the model, for example `hris.Employee`; not unique.
    pub model_id: &'static str,
    /// List path below `/api/`, for example `hris/v1/employees`, with `{parent}` segments in nested lists.
    pub path: &'static str,
    /// The list takes `modified_after` and `modified_before`.
    pub modified_after: bool,
    /// Records carry `remote_was_deleted`.
    pub deleted_flag: bool,
    /// Records carry `id`.
    pub ids: bool,
}

/// How an endpoint's copy is kept complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Windows of `modified_at`, each starting where the one before ended.
    Windows,
    /// Re-read in full: the list cannot say what changed, or what is gone.
    Full,
    /// A list below each record of another endpoint; only when `MODELS` asks for it.
    Nested,
}

impl Endpoint {
    pub fn all() -> &'static [Endpoint] {
        &ENDPOINTS
    }

    pub fn of(category: Category) -> impl Iterator<Item = &'static Endpoint> {
        ENDPOINTS.iter().filter(move |e| e.category == category)
    }

    pub fn by_slug(slug: &str) -> Option<&'static Endpoint> {
        ENDPOINTS.iter().find(|e| e.slug() == slug)
    }

    /// Finds the endpoint that our API calls `key`; accepts `%40` for `@`.
    pub fn by_key(key: &str) -> Option<&'static Endpoint> {
        let key = key.replace("%40", "@");
        ENDPOINTS.iter().find(|e| e.key() == key)
    }

    /// The top-level endpoint that Merge means by a `model_id` or the model name of a webhook event. Merge's own
    /// documents spell some ids in two ways, so prefixes and case do not count: `crm.Contact` is `crm.CRMContact`.
    pub fn of_model(category: Category, model: &str) -> Option<&'static Endpoint> {
        let bare = model.rsplit('.').next().unwrap_or(model);
        let internal = |e: &Endpoint| e.model_id.rsplit('.').next().unwrap_or(e.model_id);
        let top = || Endpoint::of(category).filter(|e| !e.nested());
        top()
            .find(|e| internal(e).eq_ignore_ascii_case(bare))
            .or_else(|| top().find(|e| e.model_name.eq_ignore_ascii_case(bare)))
            .or_else(|| {
                top().find(|e| bare.strip_suffix('s').is_some_and(|one| e.model_name.eq_ignore_ascii_case(one)))
            })
    }

    pub fn nested(&self) -> bool {
        self.path.contains('{')
    }

    /// How many parents a record has: none, but in nested lists.
    pub fn depth(&self) -> usize {
        self.path.matches('{').count()
    }

    /// The endpoint whose records this nested list is read below.
    pub fn parent(&self) -> Option<&'static Endpoint> {
        let (above, _) = self.path.rsplit_once("/{")?;
        ENDPOINTS.iter().find(|e| e.path == above)
    }

    /// The part of a record's key that is its parent's key; none at the top level.
    pub fn parent_key<'k>(&self, record_key: &'k str) -> Option<&'k str> {
        let ends = record_key.match_indices('/').map(|(end, _)| end);
        let end = ends.take(self.depth()).last()?;
        Some(&record_key[..end])
    }

    pub fn rule(&self) -> Rule {
        if self.nested() {
            Rule::Nested
        } else if self.modified_after && self.deleted_flag && self.ids {
            Rule::Windows
        } else {
            Rule::Full
        }
    }

    /// Unique and stable, used in keys: `hris.employees`, `ticketing.projects.users`.
    pub fn slug(&self) -> String {
        self.static_segments().join(".")
    }

    /// What our API calls the model: Merge's model id; for nested lists with `@` and the static segments above:
    /// `ticketing.User@projects`.
    pub fn key(&self) -> String {
        if !self.nested() {
            return self.model_id.to_owned();
        }
        let segments = self.static_segments();
        let above = &segments[1..segments.len() - 1];
        format!("{}@{}", self.model_id, above.join("."))
    }

    fn static_segments(&self) -> Vec<&'static str> {
        let (category, rest) = self.path.split_once("/v1/").unwrap_or((self.path, ""));
        std::iter::once(category).chain(rest.split('/').filter(|s| !s.starts_with('{'))).collect()
    }
}

/// Which endpoints of a category are synced: all but nested lists, or those that `MODELS` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelFilter(Option<Vec<&'static Endpoint>>);

/// Why a list of models cannot be synced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnusableFilter {
    #[error("names the unknown model {0}")]
    Unknown(String),
    #[error("names {nested} without {parent}, below whose records it is read")]
    WithoutParent { nested: String, parent: String },
}

impl ModelFilter {
    /// `list` holds model keys separated by commas; empty means everything but nested lists.
    pub fn parse(list: &str) -> Result<Self, UnusableFilter> {
        let keys: Vec<&str> = list.split(',').map(str::trim).filter(|k| !k.is_empty()).collect();
        if keys.is_empty() {
            return Ok(Self(None));
        }
        let found = keys.into_iter().map(|k| Endpoint::by_key(k).ok_or_else(|| UnusableFilter::Unknown(k.to_owned())));
        let found: Vec<&'static Endpoint> = found.collect::<Result<_, _>>()?;
        for endpoint in &found {
            if let Some(parent) = endpoint.parent().filter(|parent| !found.contains(parent)) {
                return Err(UnusableFilter::WithoutParent { nested: endpoint.key(), parent: parent.key() });
            }
        }
        Ok(Self(Some(found)))
    }

    pub fn endpoints(&self, category: Category) -> Vec<&'static Endpoint> {
        match &self.0 {
            None => Endpoint::of(category).filter(|e| !e.nested()).collect(),
            Some(listed) => listed.iter().copied().filter(|e| e.category == category).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn slugs_and_keys_are_unique() {
        let slugs: HashSet<_> = ENDPOINTS.iter().map(Endpoint::slug).collect();
        let keys: HashSet<_> = ENDPOINTS.iter().map(Endpoint::key).collect();
        assert_eq!((slugs.len(), keys.len()), (101, 101));
    }

    #[test]
    fn keys_and_slugs_read_as_published() {
        for (slug, key) in [
            ("hris.employees", "hris.Employee"),
            ("ticketing.projects.users", "ticketing.User@projects"),
            ("ticketing.tickets.viewers", "ticketing.TicketingViewer@tickets"),
            (
                "crm.custom-object-classes.custom-objects.associations",
                "crm.Association@custom-object-classes.custom-objects",
            ),
            ("ats.jobs.screening-questions", "ats.ScreeningQuestion@jobs"),
        ] {
            let found = Endpoint::by_slug(slug).unwrap_or_else(|| panic!("{slug}"));
            assert_eq!(found.key(), key);
            assert_eq!(Endpoint::by_key(&key.replace('@', "%40")), Some(found));
        }
    }

    #[test]
    fn model_names_are_matched_with_and_without_prefix() {
        for (category, model, slug) in [
            (Category::Crm, "crm.Contact", "crm.contacts"),
            (Category::Crm, "CRMContact", "crm.contacts"),
            (Category::Accounting, "accounting.Invoices", "accounting.invoices"),
            (Category::Filestorage, "File", "filestorage.files"),
            (Category::Ticketing, "ticketing.User", "ticketing.users"),
            (Category::Hris, "hris.employee", "hris.employees"),
        ] {
            assert_eq!(Endpoint::of_model(category, model).map(Endpoint::slug).as_deref(), Some(slug), "{model}");
        }
        assert_eq!(Endpoint::of_model(Category::Hris, "hris.Deduction"), None);
    }

    #[test]
    fn capabilities_decide_the_rule() {
        let rule = |slug| Endpoint::by_slug(slug).map(Endpoint::rule);
        assert_eq!(rule("hris.employees"), Some(Rule::Windows));
        assert_eq!(rule("accounting.payment-terms"), Some(Rule::Full));
        assert_eq!(rule("ats.tags"), Some(Rule::Full));
        assert_eq!(rule("crm.engagement-types"), Some(Rule::Full));
        assert_eq!(rule("ticketing.tickets.viewers"), Some(Rule::Nested));
        assert!(Endpoint::of(Category::Hris).all(|e| e.rule() == Rule::Windows));
        assert_eq!(ENDPOINTS.iter().filter(|e| e.rule() == Rule::Full).count(), 9);
    }

    #[test]
    fn nested_lists_know_their_parents() {
        let slugs = |slug: &str| Endpoint::by_slug(slug).and_then(Endpoint::parent).map(Endpoint::slug);
        assert_eq!(slugs("ticketing.projects.users").as_deref(), Some("ticketing.projects"));
        let associations = "crm.custom-object-classes.custom-objects.associations";
        assert_eq!(slugs(associations).as_deref(), Some("crm.custom-object-classes.custom-objects"));
        assert_eq!(slugs("hris.employees"), None);
        assert!(ENDPOINTS.iter().all(|e| e.nested() == e.parent().is_some()));

        let key = |slug: &str, key| Endpoint::by_slug(slug).and_then(|e| e.parent_key(key));
        assert_eq!(key("ticketing.projects.users", "p/u"), Some("p"));
        assert_eq!(key(associations, "class/object/content:a/b"), Some("class/object"));
        assert_eq!(key("hris.employees", "a/b"), None);
    }

    #[test]
    fn a_nested_list_is_synced_with_its_parents_only() {
        let alone = ModelFilter::parse("crm.CustomObjectClass, crm.Association@custom-object-classes.custom-objects");
        let parent = "crm.CustomObject@custom-object-classes".to_owned();
        assert!(matches!(alone, Err(UnusableFilter::WithoutParent { parent: named, .. }) if named == parent));
        assert!(ModelFilter::parse("ticketing.Project, ticketing.User@projects").is_ok());
    }

    #[test]
    fn the_filter_names_an_unknown_model() {
        let unknown = UnusableFilter::Unknown("hris.Nope".to_owned());
        assert_eq!(ModelFilter::parse("hris.Employee, hris.Nope"), Err(unknown));
        assert_eq!(ModelFilter::parse("").map(|f| f.endpoints(Category::Hris).len()), Ok(16));
        assert_eq!(ModelFilter::parse("hris.Team").map(|f| f.endpoints(Category::Hris).len()), Ok(1));
    }
}
