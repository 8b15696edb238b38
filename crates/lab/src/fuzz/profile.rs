//! The text of `--impair`, and the link that it describes.

use gapless_link::{Link, Profile};

/// Datagrams sent through each link.
const SENT: u64 = 40;

pub(super) fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(profile) = text.parse::<Profile>() else {
        return;
    };
    let printed = profile.to_string();
    let again = printed.parse::<Profile>();
    assert_eq!(again.as_ref(), Ok(&profile), "{text:?} is {printed:?}");
    let mut link = Link::new(&profile, 0);
    let mut arrived = 0;
    for number in 0..SENT {
        link.send(number * 3_000_000, &[number as u8; 400], number);
        while let Some(delivery) = link.poll(number * 3_000_000) {
            arrived += 1;
            assert!(delivery.payload.len() <= 400, "a datagram that grew");
        }
    }
    let counters = *link.counters();
    assert_eq!(counters.offered, SENT);
    assert_eq!(counters.delivered, arrived);
}
