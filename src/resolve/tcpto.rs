//! queue/lock/tcpto: which addresses timed out recently. All deliveries of one qmail share the file, and so do qmail-tcpto and
//! qmail-tcpok. So it is read and written octet for octet as stock qmail-remote does.
//!
//! Up to 64 records of 16 octets: an IPv4 address; a count, 0 in a free record and 10 at the most; three octets unused; the
//! Unix time of the last timeout that counted, little-endian; four unused. There is no place for an IPv6 address.

use std::net::Ipv4Addr;

const RECORD: usize = 16;
const COUNT: usize = 4;
const TIME: usize = 8;
/// As many records as stock keeps.
const RECORDS: usize = 64;
/// From this many timeouts on an address is skipped for some time.
const TOO_MANY: u8 = 2;
const MOST: u8 = 10;
/// Seconds. Timeouts of deliveries that started together count as one.
const AT_ONCE: i64 = 120;

/// What the file says of an address.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// There is a record of it.
    pub there: bool,
    /// It timed out too often: it is to be skipped now.
    pub rests: bool,
}

/// A record to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// The place in the file.
    pub offset: usize,
    /// What to write there.
    pub record: [u8; RECORD],
}

/// Looks an address up. How long it is skipped depends on the process, so that not all of them try it again at once.
pub fn look(file: &[u8], ip: Ipv4Addr, unix: u64, pid: u32) -> Found {
    let Some((_, record)) = records(file).find(|(_, record)| record.starts_with(&ip.octets())) else {
        return Found::default();
    };
    let rest = i64::from(60 + (pid & 31)) << 6;
    Found { there: true, rests: record[COUNT] >= TOO_MANY && seconds(unix) - time(&record) < rest }
}

/// Records that the address has timed out. None: there is nothing to write.
pub fn timed_out(file: &[u8], ip: Ipv4Addr, unix: u64) -> Option<Change> {
    let known = records(file).find(|(_, record)| record.starts_with(&ip.octets()));
    let (offset, mut record) = match known {
        Some((_, record)) if record[COUNT] > 0 && seconds(unix) < AT_ONCE + time(&record) => return None,
        Some((offset, mut record)) => {
            record[COUNT] = record[COUNT].saturating_add(1).min(MOST);
            (offset, record)
        }
        None => {
            let free = records(file).find(|(_, record)| record[COUNT] == 0);
            let age = |(_, record): &(usize, [u8; RECORD])| time(record) + (i64::from(record[COUNT]) << 10);
            let (offset, mut record) = free.or_else(|| records(file).min_by_key(age))?;
            record[..4].copy_from_slice(&ip.octets());
            record[COUNT] = 1;
            (offset, record)
        }
    };
    record[TIME..TIME + 4].copy_from_slice(&(unix as u32).to_le_bytes());
    Some(Change { offset, record })
}

/// Records that the address has answered. None: there is no record of it.
pub fn answered(file: &[u8], ip: Ipv4Addr) -> Option<Change> {
    let (offset, mut record) = records(file).find(|(_, record)| record.starts_with(&ip.octets()))?;
    record[COUNT] = 0;
    Some(Change { offset, record })
}

/// All records, each with its offset. A partial one at the end does not count.
fn records(file: &[u8]) -> impl Iterator<Item = (usize, [u8; RECORD])> {
    let whole = file.chunks_exact(RECORD).take(RECORDS);
    whole.enumerate().map(|(i, record)| (i * RECORD, record.try_into().expect("chunks are of this size")))
}

fn time(record: &[u8; RECORD]) -> i64 {
    i64::from(u32::from_le_bytes([record[TIME], record[TIME + 1], record[TIME + 2], record[TIME + 3]]))
}

fn seconds(unix: u64) -> i64 {
    i64::try_from(unix).unwrap_or(i64::MAX)
}
