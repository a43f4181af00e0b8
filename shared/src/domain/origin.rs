//! The end user origin id: the identity that we give Merge for an account to be. Merge keeps one account per
//! (origin id, category) and lists the origin id in every webhook and in account-details, so it is what binds
//! Merge's account to our organization. The row it names must still match in full: parsing it proves nothing.

use std::fmt;

use super::{
    category::Category,
    ids::{AccountId, OrganizationId},
};

/// How many accounts an organization may hold in one category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OriginIdStrategy {
    /// `{organization}_{category}_{uuid}`: any number.
    ManyPerCategory,
    /// `{organization}_{category}`: one.
    OnePerCategory,
}

/// `{organization}_{category}_{uuid}` or `{organization}_{category}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EndUserOriginId(String);

/// The longest that Merge is asked to take, in characters: its earlier schemas say so, and its present one does not say
/// otherwise.
const LONGEST: usize = 100;

/// What an origin id names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginParts {
    pub organization: OrganizationId,
    pub category: Category,
    /// `None` in the one-per-category form.
    pub account: Option<AccountId>,
}

impl EndUserOriginId {
    pub fn new(
        strategy: OriginIdStrategy,
        organization: &OrganizationId,
        category: Category,
        account: AccountId,
    ) -> Self {
        Self(match strategy {
            OriginIdStrategy::ManyPerCategory => format!("{organization}_{category}_{account}"),
            OriginIdStrategy::OnePerCategory => format!("{organization}_{category}"),
        })
    }

    /// Merge would refuse it. It is not shortened: webhooks name the organization by it, in full.
    pub fn is_too_long(&self) -> bool {
        self.0.len() > LONGEST
    }

    /// As stored in our own rows.
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes either form, whatever the strategy is set to now. `None` for text that no strategy makes.
    pub fn parse(text: &str) -> Option<OriginParts> {
        let (rest, last) = text.rsplit_once('_')?;
        let (organization, category, account) = match AccountId::parse(last) {
            Ok(account) => {
                let (organization, category) = rest.rsplit_once('_')?;
                (organization, category, Some(account))
            }
            Err(_) => (rest, last, None),
        };
        Some(OriginParts {
            organization: OrganizationId::parse(organization).ok()?,
            category: category.parse().ok()?,
            account,
        })
    }
}

impl fmt::Display for EndUserOriginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn organization_ids_of_49_characters_fit_every_category() {
        let too_long = |strategy, length, category| {
            let organization = OrganizationId::parse("o".repeat(length)).unwrap();
            EndUserOriginId::new(strategy, &organization, category, AccountId::new(Uuid::nil())).is_too_long()
        };
        use OriginIdStrategy::{ManyPerCategory as Many, OnePerCategory as One};
        assert!(Category::ALL.iter().all(|category| !too_long(Many, 49, *category)));
        assert!(too_long(Many, 50, Category::Knowledgebase));
        assert!(!too_long(Many, 58, Category::Hris) && too_long(Many, 59, Category::Hris));
        assert!(Category::ALL.iter().all(|category| !too_long(One, 86, *category)));
        assert!(too_long(One, 87, Category::Knowledgebase));
    }

    proptest! {
        #[test]
        fn what_a_strategy_makes_parses_back(org in "[!-\"$-~]{1,128}", category in 0..7usize, uuid: u128, many: bool) {
            let organization = OrganizationId::parse(org).unwrap();
            let (category, account) = (Category::ALL[category], AccountId::new(Uuid::from_u128(uuid)));
            let strategy = if many { OriginIdStrategy::ManyPerCategory } else { OriginIdStrategy::OnePerCategory };
            let origin = EndUserOriginId::new(strategy, &organization, category, account);
            let parts = EndUserOriginId::parse(origin.as_str()).unwrap();
            prop_assert_eq!(parts, OriginParts { organization, category, account: many.then_some(account) });
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_panic(text in any::<String>()) {
            if let Some(parts) = EndUserOriginId::parse(&text) {
                let strategy = if parts.account.is_some() { OriginIdStrategy::ManyPerCategory } else { OriginIdStrategy::OnePerCategory };
                let account = parts.account.unwrap_or(AccountId::new(Uuid::nil()));
                let again = EndUserOriginId::new(strategy, &parts.organization, parts.category, account);
                prop_assert_eq!(again.as_str(), text.as_str());
            }
        }
    }
}
