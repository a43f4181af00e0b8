//! Keys: where every item of the two tables lives. This file alone spells them.

use crate::domain::{
    category::Category,
    endpoint::Endpoint,
    ids::{AccountId, MergeLinkedAccountId, OrganizationId},
};

/// Partition and sort key of one item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Self {
        Self { pk, sk: sk.into() }
    }

    /// What kind of row it is the key of, and not whose: `ORG/ACCOUNT`, or `RECORD` for all of the other table.
    pub fn kind(&self) -> String {
        let word = |text: &str| text.split('#').next().unwrap_or_default().to_owned();
        let is_word = |word: &String| word.bytes().all(|byte| byte.is_ascii_uppercase());
        let partition = word(&self.pk);
        if partition.is_empty() || !is_word(&partition) {
            return "RECORD".to_owned();
        }
        let row = Some(word(&self.sk)).filter(|row| !row.is_empty() && is_word(row));
        row.map_or(partition.clone(), |row| format!("{partition}/{row}"))
    }
}

/// Prefixes: of sort keys, for queries over one kind of item in a partition, and of partitions.
pub mod prefix {
    /// Of partitions.
    pub const ORGANIZATION: &str = "ORG#";
    pub const PARKED: &str = "PARKED#";
    pub const ACCOUNT: &str = "ACCOUNT#";
    pub const PENDING: &str = "PENDING#";
    pub const SYNC: &str = "SYNC#";
    pub const WINDOW: &str = "WINDOW#";
    pub const EVENT: &str = "EVENT#";
    pub const BRAKE: &str = "BRAKE#";
}

/// The partition of everything an organization owns.
pub fn organization(organization: &OrganizationId) -> String {
    format!("{}{organization}", prefix::ORGANIZATION)
}

pub fn pending(of: &OrganizationId, category: Category) -> Key {
    Key::new(organization(of), format!("{}{category}", prefix::PENDING))
}

pub fn account(of: &OrganizationId, account: AccountId) -> Key {
    Key::new(organization(of), format!("{}{account}", prefix::ACCOUNT))
}

pub fn receipt(of: &OrganizationId, account: AccountId) -> Key {
    Key::new(organization(of), format!("RECEIPT#{account}"))
}

/// The counters of an organization for one minute.
pub fn limit(of: &OrganizationId, minute: i64) -> Key {
    Key::new(organization(of), format!("LIMIT#{minute}"))
}

/// What came of a request that named itself. `name`: a SHA-256, hexadecimal.
pub fn once(of: &OrganizationId, name: &str) -> Key {
    Key::new(organization(of), format!("ONCE#{name}"))
}

pub fn owner(merge_id: &MergeLinkedAccountId) -> Key {
    Key::new(format!("MERGE#{merge_id}"), "OWNER")
}

/// `hash`: SHA-256 of the public token, hexadecimal.
pub fn exchange(hash: &str) -> Key {
    Key::new(format!("EXCHANGE#{hash}"), "EXCHANGE")
}

/// The partition of the marks that exchanges leave under Merge's account.
pub fn exchanged_partition(merge_id: &MergeLinkedAccountId) -> String {
    format!("EXCHANGED#{merge_id}")
}

pub fn exchanged(merge_id: &MergeLinkedAccountId, hash: &str) -> Key {
    Key::new(exchanged_partition(merge_id), format!("#{hash}"))
}

/// The partition of messages that came before their account.
pub fn parked_partition(merge_id: &MergeLinkedAccountId) -> String {
    format!("{}{merge_id}", prefix::PARKED)
}

pub fn parked(merge_id: &MergeLinkedAccountId, hash: &str) -> Key {
    Key::new(parked_partition(merge_id), format!("#{hash}"))
}

/// The partition of an account's sync state: checkpoints, changes, windows, events.
pub fn account_partition(account: AccountId) -> String {
    format!("ACCOUNT#{account}")
}

pub fn checkpoint(account: AccountId, endpoint: &Endpoint) -> Key {
    Key::new(account_partition(account), format!("{}{}", prefix::SYNC, endpoint.slug()))
}

/// Merge's last sync-status answer for the account.
pub fn sync_status(account: AccountId) -> Key {
    Key::new(account_partition(account), "STATUS")
}

/// `tag`: epoch and block number, ten digits each.
pub fn change(account: AccountId, endpoint: &Endpoint, tag: &str) -> Key {
    Key::new(account_partition(account), format!("{}{tag}", change_prefix(endpoint)))
}

pub fn change_prefix(endpoint: &Endpoint) -> String {
    format!("CHANGE#{}#", endpoint.slug())
}

/// The epoch is part of it, so that an overtaken worker's late write never replaces a page of the one at work.
pub fn seen(account: AccountId, endpoint: &Endpoint, generation: u64, epoch: u64, page: u64) -> Key {
    Key::new(account_partition(account), format!("{}{page:010}#{epoch:010}", seen_prefix(endpoint, generation)))
}

pub fn seen_prefix(endpoint: &Endpoint, generation: u64) -> String {
    format!("SEEN#{}#{generation:010}#", endpoint.slug())
}

/// A sort key before those of page `page` and after those of the page before.
pub fn seen_before(endpoint: &Endpoint, generation: u64, page: u64) -> String {
    format!("{}{page:010}", seen_prefix(endpoint, generation))
}

pub fn window(account: AccountId, endpoint: &Endpoint, upper: &str) -> Key {
    Key::new(account_partition(account), format!("{}{upper}", window_prefix(endpoint)))
}

pub fn window_prefix(endpoint: &Endpoint) -> String {
    format!("{}{}#", prefix::WINDOW, endpoint.slug())
}

pub fn brake(account: AccountId, endpoint: &Endpoint) -> Key {
    Key::new(account_partition(account), format!("{}{}", prefix::BRAKE, endpoint.slug()))
}

/// `time`: fixed width; `random` keeps two events of one moment apart.
pub fn event(account: AccountId, time: &str, random: &str) -> Key {
    Key::new(account_partition(account), format!("{}{time}#{random}", prefix::EVENT))
}

/// The poller's own state.
pub fn tick() -> Key {
    Key::new("POLLER".to_owned(), "TICK")
}

/// When something was last done for an account that is not to be done too often.
pub fn turn(account: AccountId, purpose: &str) -> Key {
    Key::new(account_partition(account), format!("TURN#{purpose}"))
}

/// Number of partitions over which one model's records are spread.
pub const SHARDS: u8 = 8;

/// The partition of one shard of a model's records.
pub fn record_shard(account: AccountId, endpoint: &Endpoint, shard: u8) -> String {
    format!("{account}#{}#{shard}", endpoint.slug())
}

/// The partition of the parts of records that are larger than an item, beside their shard.
pub fn part_shard(account: AccountId, endpoint: &Endpoint, shard: u8) -> String {
    format!("{}#PART", record_shard(account, endpoint, shard))
}

pub fn record(account: AccountId, endpoint: &Endpoint, record_key: &str) -> Key {
    Key::new(record_shard(account, endpoint, shard_of(endpoint, record_key)), record_key)
}

/// The beginning of the keys of all records below one parent in a nested list.
pub fn below(parent_key: &str) -> String {
    format!("{parent_key}/")
}

/// `hash` names the content and `dictionary` how it is packed, so that no name ever stands for other bytes. Parts that
/// were packed with the first dictionary, or before there was one, are named by their content alone.
pub fn part(
    account: AccountId,
    endpoint: &Endpoint,
    record_key: &str,
    (hash, dictionary): (&str, Option<u32>),
    part: usize,
) -> Key {
    let packed = dictionary.filter(|number| *number > 1).map(|number| format!(".{number}")).unwrap_or_default();
    let pk = part_shard(account, endpoint, shard_of(endpoint, record_key));
    Key::new(pk, format!("{record_key}#{hash}{packed}#{part:04}"))
}

/// FNV-1a: stable across builds, and spread enough for eight shards. Records of a nested list lie together with the
/// others of their parent.
pub fn shard_of(endpoint: &Endpoint, record_key: &str) -> u8 {
    let hash = endpoint
        .parent_key(record_key)
        .unwrap_or(record_key)
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    ((hash ^ (hash >> 32)) % u64::from(SHARDS)) as u8
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn records_spread_over_all_shards() {
        let mut counts = [0; SHARDS as usize];
        for n in 0..8_000u128 {
            let key = Uuid::from_u128(n * 7_919).to_string();
            counts[usize::from(shard_of(&Endpoint::all()[0], &key))] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_kind_names_nobody() {
        let (organization, id) = (OrganizationId::parse("ACME").unwrap(), AccountId::new(Uuid::nil()));
        let merge_id = MergeLinkedAccountId::parse("M1").unwrap();
        let endpoint = &Endpoint::all()[0];
        for (key, kind) in [
            (account(&organization, id), "ORG/ACCOUNT"),
            (checkpoint(id, endpoint), "ACCOUNT/SYNC"),
            (sync_status(id), "ACCOUNT/STATUS"),
            (owner(&merge_id), "MERGE/OWNER"),
            (parked(&merge_id, "hash"), "PARKED"),
            (exchanged(&merge_id, "hash"), "EXCHANGED"),
            (record(id, endpoint, "ID"), "RECORD"),
            (part(id, endpoint, "ID", ("hash", None), 1), "RECORD"),
        ] {
            assert_eq!(key.kind(), kind);
        }
    }

    #[test]
    fn records_below_one_parent_lie_together() {
        let users = Endpoint::by_slug("ticketing.projects.users").unwrap();
        for user in ["a", "b", "c"] {
            assert_eq!(shard_of(users, &format!("project/{user}")), shard_of(users, "project/other"));
        }
    }

    #[test]
    fn what_is_packed_otherwise_lies_elsewhere() {
        let part = |dictionary| part(AccountId::new(Uuid::nil()), &Endpoint::all()[0], "a", ("cafe", dictionary), 0).sk;
        assert_eq!(part(None), "a#cafe#0000", "as it was named before there was a dictionary");
        assert_eq!([Some(1), Some(2), Some(3)].map(part), ["a#cafe#0000", "a#cafe.2#0000", "a#cafe.3#0000"]);
    }

    #[test]
    fn tags_sort_as_numbers_do() {
        let account = AccountId::new(Uuid::nil());
        let endpoint = &Endpoint::all()[0];
        let key = |epoch: u64, n: u64| change(account, endpoint, &format!("{epoch:010}{n:010}"));
        assert!(key(1, 9) < key(1, 10) && key(1, 10) < key(2, 1));
    }
}
