//! Values: what a field of a given name plausibly holds. Names, words and industries come from the `fake` crate's
//! lists.

use std::fmt::Write;

use fake::locales::{Data, EN};

use crate::ids::mix;

/// Every sixteenth person's name tests that bytes survive: accents, other scripts, quotes, a surrogate pair.
const UNUSUAL: [(&str, &str); 8] = [
    ("Zoë", "Müller-Lüdenscheidt"),
    ("Seán", "O'Connor"),
    ("Øyvind", "Ångström"),
    ("美咲", "佐藤"),
    ("محمد", "الأحمد"),
    ("Anna \"Annie\"", "Nowak"),
    ("Back\\slash", "Tab\tSmith"),
    ("Kai 🌊", "Nguyễn"),
];

const CITIES: [(&str, &str, &str); 12] = [
    ("San Francisco", "CA", "94107"),
    ("New York", "NY", "10001"),
    ("Austin", "TX", "73301"),
    ("Chicago", "IL", "60601"),
    ("Denver", "CO", "80202"),
    ("Seattle", "WA", "98101"),
    ("Boston", "MA", "02108"),
    ("Berlin", "BE", "10115"),
    ("München", "BY", "80331"),
    ("London", "LND", "EC1A 1BB"),
    ("Dublin", "D", "D02 X285"),
    ("Toronto", "ON", "M5H 2N2"),
];

const TITLES: [&str; 10] = [
    "Software Engineer",
    "Account Executive",
    "Office Manager",
    "Data Analyst",
    "Head of People",
    "Recruiter",
    "Product Designer",
    "Controller",
    "Support Specialist",
    "Warehouse Associate",
];

const THINGS: [&str; 12] = [
    "Engineering",
    "Sales",
    "Finance",
    "Customer Success",
    "Marketing",
    "Operations",
    "Legal",
    "People",
    "Security",
    "Research",
    "Logistics",
    "Design",
];

const TOPICS: [&str; 8] = [
    "Quarterly review",
    "Onboarding checklist",
    "Renewal discussion",
    "Laptop does not start",
    "Invoice question",
    "Travel policy",
    "Access request",
    "Release notes",
];

/// A person's name, from which e-mail and user name follow.
pub struct Person {
    pub first: &'static str,
    pub last: &'static str,
    number: u64,
}

impl Person {
    pub fn of(hash: u64) -> Person {
        let number = hash % 9_973;
        if hash >> 60 == 0 {
            let (first, last) = UNUSUAL[(hash % 8) as usize];
            return Person { first, last, number };
        }
        let pick = |list: &'static [&'static str], salt| list[(mix(hash, salt) % list.len() as u64) as usize];
        Person { first: pick(EN::NAME_FIRST_NAME, 1), last: pick(EN::NAME_LAST_NAME, 2), number }
    }

    fn handle(&self) -> String {
        let ascii = |text: &str| text.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
        format!("{}.{}{}", ascii(self.first), ascii(self.last), self.number)
    }

    /// A work address, or a private one where the field says so.
    pub fn email(&self, field: &str) -> String {
        let domain = if field.starts_with("personal") { "mail.example" } else { "acme-works.example" };
        format!("{}@{domain}", self.handle())
    }
}

/// Fields that are never null.
pub fn is_essential(name: &str) -> bool {
    matches!(
        name,
        "name"
            | "first_name"
            | "last_name"
            | "display_name"
            | "display_full_name"
            | "title"
            | "employee"
            | "company"
            | "employment_status"
            | "status"
            | "email_address"
            | "number"
            | "total_amount"
            | "subject"
            | "candidate"
            | "job"
            | "ticket"
            | "source_object"
            | "target_object"
            | "association_type"
            | "object_class"
            | "contents"
    )
}

/// Fields that a change at the provider leaves alone.
pub fn is_identity(name: &str) -> bool {
    matches!(
        name,
        "first_name"
            | "last_name"
            | "preferred_name"
            | "middle_name"
            | "display_full_name"
            | "username"
            | "ssn"
            | "employee_number"
            | "email_address"
            | "number"
            | "mime_type"
            | "type"
    ) || name.ends_with("_id")
}

/// One of an enum's values; the first (mostly "active") and the common countries and currencies come more often.
pub fn option<'e>(name: &str, options: &'e [String], hash: u64) -> &'e str {
    let common = |wanted: &[&str]| {
        let wanted = wanted[(hash % wanted.len() as u64) as usize];
        options.iter().find(|option| *option == wanted).map(String::as_str)
    };
    let found = match name {
        "country" => common(&["US", "US", "DE", "GB", "CA", "IE"]),
        _ if name.contains("currency") => common(&["USD", "USD", "EUR", "GBP"]),
        "employment_status" | "status" if !hash.is_multiple_of(4) => options.first().map(String::as_str),
        _ => None,
    };
    found
        .or_else(|| options.get((hash / 7 % options.len().max(1) as u64) as usize).map(String::as_str))
        .unwrap_or_default()
}

pub fn write_integer(name: &str, hash: u64, out: &mut String) {
    let value = match name {
        "size" => hash % 50_000_000,
        "number_of_employees" => 1 + hash % 20_000,
        "fiscal_year_end_month" => 1 + hash % 12,
        "fiscal_year_end_day" => 1 + hash % 28,
        "stage_order" => hash % 10,
        _ => 1 + hash % 90,
    };
    put(format_args!("{value}"), out);
}

/// Two decimals at most, written as Python writes floats (`100.0`, `12.5`).
pub fn write_number(name: &str, hash: u64, out: &mut String) {
    let cents = match name {
        "hours_worked" | "used" | "balance" => hash % 800 * 25,
        "quantity" => (1 + hash % 40) * 100,
        "pay_rate" => 3_000_000 + hash % 15_000_000,
        _ if name.contains("rate") => hash % 2_500,
        _ => hash % 1_000_000,
    };
    let (whole, part) = (cents / 100, cents % 100);
    if part % 10 == 0 {
        put(format_args!("{whole}.{}", part / 10), out);
    } else {
        put(format_args!("{whole}.{part:02}"), out);
    }
}

pub fn url(name: &str, hash: u64) -> String {
    let last = if name.contains("avatar") || name.contains("thumbnail") { ".png" } else { "" };
    format!("https://files.provider.example/{}/{:x}{last}", name.trim_end_matches("_url"), hash >> 16)
}

/// A string field's value.
pub fn write_text(name: &str, hash: u64, person: &Person, model: &str, out: &mut String) {
    let city = CITIES[(hash % CITIES.len() as u64) as usize];
    let thing = THINGS[(hash % THINGS.len() as u64) as usize];
    let small = hash % 10_000;
    let text = match name {
        "first_name" | "preferred_name" => person.first.to_owned(),
        "last_name" => person.last.to_owned(),
        "middle_name" => "Lee".to_owned(),
        "display_full_name" => format!("{} {}", person.first, person.last),
        "username" => person.handle(),
        "email" | "email_address" => person.email(name),
        "name" | "display_name" if is_person(model) => format!("{} {}", person.first, person.last),
        "name" | "display_name" | "legal_name" | "company" | "payee" => label(model, thing, person, small),
        "title" | "job_title" => TITLES[(hash % 10) as usize].to_owned(),
        "subject" => format!("{} #{small}", TOPICS[(hash % 8) as usize]),
        "city" | "location" | "locations" => city.0.to_owned(),
        "state" | "country_subdivision" => city.1.to_owned(),
        "zip_code" | "postal_code" => city.2.to_owned(),
        "street_1" => format!("{} {} Street", 1 + small % 900, person.last),
        "street_2" => format!("Suite {}", small % 400),
        "country" => "US".to_owned(),
        "industry" => EN::COMPANY_INDUSTRY[(hash % EN::COMPANY_INDUSTRY.len() as u64) as usize].to_owned(),
        "currency" | "base_currency" | "transaction_currency" => "USD".to_owned(),
        "exchange_rate" => format!("1.{small:04}"),
        "employee_number" => format!("E{:06}", person.number * 17 % 1_000_000),
        "ssn" => format!("***-**-{small:04}"),
        "routing_number" => format!("{:09}", hash % 1_000_000_000),
        "account_number" | "source_account_number" => format!("****{small:04}"),
        "mime_type" | "content_type" => "application/pdf".to_owned(),
        "file_name" => format!("{}-{small}.pdf", thing.to_lowercase().replace(' ', "-")),
        "checksum" => format!("{hash:016x}"),
        "html_body" => format!("<p>{}</p>", sentence(hash)),
        "avatar" => url(name, hash),
        "eins" => format!("{:02}-{:07}", 10 + small % 89, hash % 10_000_000),
        "tags" => thing.to_lowercase(),
        _ if name.ends_with("_url") || name == "urls" || name == "domains" => url(name, hash),
        _ if name.ends_with("phone_number") => format!("+1 415 555 {small:04}"),
        _ if name.ends_with("_amount") || name == "quantity" || name == "unit_price" => {
            format!("{}.{:02}", small, hash % 100)
        }
        _ if name.ends_with("number") || name.ends_with("_id") || name == "code" => {
            format!("{}-{small:05}", &name[..2].to_uppercase())
        }
        _ if name.ends_with("_type") || name == "type" => thing.to_uppercase().replace(' ', "_"),
        _ => sentence(hash),
    };
    write_string(&text, out);
}

fn is_person(model: &str) -> bool {
    matches!(model, "User" | "RemoteUser" | "Contact" | "Employee" | "Candidate" | "Lead" | "Viewer")
}

fn label(model: &str, thing: &str, person: &Person, small: u64) -> String {
    match model {
        "Company" | "Account" | "CompanyInfo" => {
            format!("{} {}", person.last, ["Inc.", "LLC", "GmbH", "& Sons"][(small % 4) as usize])
        }
        "Group" | "Team" | "Department" | "Project" | "Collection" | "Container" => format!("{thing} {}", small % 97),
        "Location" | "Office" => CITIES[(small % CITIES.len() as u64) as usize].0.to_owned(),
        "File" | "Folder" | "Drive" | "Attachment" | "Article" => format!("{} {small}", TOPICS[(small % 8) as usize]),
        _ => format!("{thing} {model} {small}"),
    }
}

fn sentence(hash: u64) -> String {
    let words = EN::LOREM_WORD;
    let mut text = String::new();
    for position in 0..4 + hash % 8 {
        if position > 0 {
            text.push(' ');
        }
        text.push_str(words[(mix(hash, position) % words.len() as u64) as usize]);
    }
    text.push('.');
    text
}

/// A JSON string. Only what JSON demands is escaped: Merge sends UTF-8.
pub fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => put(format_args!("\\u{:04x}", c as u32), out),
            c => out.push(c),
        }
    }
    out.push('"');
}

fn put(arguments: std::fmt::Arguments<'_>, out: &mut String) {
    out.write_fmt(arguments).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_json() {
        for text in ["plain", "quo\"te", "back\\slash", "tab\t", "\u{1}", "美咲 🌊"] {
            let mut out = String::new();
            write_string(text, &mut out);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn numbers_look_like_pythons() {
        for hash in 0..500 {
            let mut out = String::new();
            write_number("amount", mix(7, hash), &mut out);
            let parsed: f64 = out.parse().unwrap();
            assert_eq!(serde_json::to_string(&parsed).unwrap(), out);
        }
    }
}
