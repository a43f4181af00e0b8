//! A category: one of the seven kinds of system that people connect, spelled as in Merge's paths.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    Hris,
    Ats,
    Crm,
    Accounting,
    Ticketing,
    Filestorage,
    Knowledgebase,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown category")]
pub struct UnknownCategory;

impl Category {
    pub const ALL: [Category; 7] = [
        Category::Hris,
        Category::Ats,
        Category::Crm,
        Category::Accounting,
        Category::Ticketing,
        Category::Filestorage,
        Category::Knowledgebase,
    ];

    pub fn slug(self) -> &'static str {
        match self {
            Category::Hris => "hris",
            Category::Ats => "ats",
            Category::Crm => "crm",
            Category::Accounting => "accounting",
            Category::Ticketing => "ticketing",
            Category::Filestorage => "filestorage",
            Category::Knowledgebase => "knowledgebase",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.slug())
    }
}

impl FromStr for Category {
    type Err = UnknownCategory;

    fn from_str(text: &str) -> Result<Self, UnknownCategory> {
        Category::ALL.into_iter().find(|c| c.slug() == text).ok_or(UnknownCategory)
    }
}
