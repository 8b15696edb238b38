//! The user timeout option, RFC 5482: both sides tell how long they wait for acknowledgments, so that neither gives up before the other.

use super::Connection;
use super::habits::Millis;
use crate::wire::{Options, UserTimeout};
use core::time::Duration;
use gapless_recovery::Instant;

/// How a connection uses the user timeout option, RFC 5482 section 3. The timeout that applies is then the larger one of both sides', within
/// limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserTimeoutOption {
    /// What the peer is told (ADV_UTO). On the wire whole seconds, rounded up, and from nine hours on minutes; 22 days at most.
    pub advertised: Duration,
    /// What applies at least, whatever the peer says (L_LIMIT); and never less than a retransmission takes.
    pub least: Duration,
    /// And at most (U_LIMIT): how long a peer can make us keep what we have for him.
    pub most: Duration,
    /// The peer's option counts (CHANGEABLE), until the application says by [`Connection::set_user_timeout`] what it wants.
    pub changeable: bool,
}

impl Default for UserTimeoutOption {
    fn default() -> Self {
        Self {
            advertised: Duration::from_secs(900),
            // RFC 9293 3.8.3: R2 of at least 100 s.
            least: Duration::from_secs(100),
            most: Duration::from_secs(3600),
            changeable: true,
        }
    }
}

/// What a connection with the option knows (ENABLED).
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    advertised: Millis,
    least: Millis,
    most: Millis,
    changeable: bool,
    /// The peer is to be told.
    pub(super) is_owed: bool,
}

impl Exchange {
    pub(super) fn new(option: &UserTimeoutOption) -> Self {
        Self {
            advertised: option.advertised.into(),
            least: option.least.into(),
            most: option.most.into(),
            changeable: option.changeable,
            // RFC 5482 section 3: in the SYN, and again in the first segment without SYN, for peers that answer by cookies.
            is_owed: true,
        }
    }

    /// RFC 5482 3.1: USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT)).
    fn adapted(&self, remote: Millis, retransmission: Millis) -> Millis {
        let wanted = self.advertised.max(remote);
        wanted
            .max(self.least)
            .max(retransmission)
            .min(self.most.max(retransmission))
    }

    pub(super) fn option(&self) -> UserTimeout {
        encode(self.advertised.duration())
    }
}

impl Connection {
    /// Tells the peer another timeout (RFC 5482, ADV_UTO) with the next segment; does nothing without
    /// [`Config::user_timeout_option`](crate::Config::user_timeout_option). What applies here changes when the peer's next option comes, or by
    /// [`set_user_timeout`](Self::set_user_timeout).
    pub fn advertise_user_timeout(&mut self, timeout: Duration) {
        if let Some(exchange) = &mut self.config.exchange {
            let advertised = timeout.into();
            exchange.is_owed |= exchange.advertised != advertised;
            exchange.advertised = advertised;
        }
    }

    /// For a SYN, be it the first or a repetition.
    pub(super) fn user_timeout_of_syn(&self) -> Option<UserTimeout> {
        self.config.exchange.as_ref().map(Exchange::option)
    }

    /// Whether the peer is to be told, by a segment of its own if no other takes it along.
    pub(super) fn owes_user_timeout(&self) -> bool {
        self.state.is_synchronized()
            && self
                .config
                .exchange
                .is_some_and(|exchange| exchange.is_owed)
    }

    /// Adds the option if it is owed and there is `room` for it beside everything else.
    pub(super) fn add_user_timeout(&mut self, options: &mut Options, room: usize) {
        let fits = room >= OPTION_LENGTH;
        let Some(exchange) = &mut self.config.exchange else {
            return;
        };
        if exchange.is_owed && fits {
            exchange.is_owed = false;
            options.user_timeout = Some(exchange.option());
        }
    }

    /// RFC 5482 3.1: the peer tells its timeout. What is outstanding goes on to count from where it did: a peer that changes its mind again and
    /// again does not live for ever by that.
    pub(super) fn take_user_timeout(&mut self, now: Instant, options: &Options) {
        let Some(exchange) = self.config.exchange.filter(|exchange| exchange.changeable) else {
            return;
        };
        let Some(remote) = options.user_timeout.and_then(decode) else {
            return;
        };
        let retransmission = self.recovery.pto_base().into();
        let before = self.config.user_timeout;
        let after = exchange.adapted(remote, retransmission);
        self.config.user_timeout = after;
        if before == after || !self.state.is_synchronized() {
            return;
        }
        match self.timers.user.zip(before.end(Instant::ZERO)) {
            Some((end, _)) => {
                let began = end.saturating_sub(before.duration());
                self.timers.user = after.end(began);
            }
            None => self.rearm_user_timer(now),
        }
    }

    /// RFC 5482 3.1: what the application says is not changed by the peer.
    pub(super) const fn keep_user_timeout(&mut self) {
        if let Some(exchange) = &mut self.config.exchange {
            exchange.changeable = false;
        }
    }
}

/// RFC 5482 section 3: 15 bits of seconds, or of minutes if they do not suffice. Zero means nothing and is never sent.
fn encode(timeout: Duration) -> UserTimeout {
    let seconds = timeout.as_millis().div_ceil(1000).max(1);
    let in_minutes = seconds > u128::from(MOST);
    let value = if in_minutes {
        seconds.div_ceil(60)
    } else {
        seconds
    };
    UserTimeout {
        in_minutes,
        value: u16::try_from(value).unwrap_or(MOST).min(MOST),
    }
}

/// RFC 5482 section 3: zero is ignored.
fn decode(option: UserTimeout) -> Option<Millis> {
    let unit = if option.in_minutes { 60 } else { 1 };
    let seconds = u64::from(option.value).saturating_mul(unit);
    (seconds > 0).then(|| Duration::from_secs(seconds).into())
}

/// The greatest value of 15 bits.
const MOST: u16 = 0x7fff;

/// Octets of the option.
const OPTION_LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc5482_3_seconds_and_minutes() {
        for (millis, in_minutes, value) in [
            (0, false, 1),
            (1, false, 1),
            (1000, false, 1),
            (1001, false, 2),
            (32_767_000, false, 32_767),
            (32_767_001, true, 547),
            (u64::MAX, true, MOST),
        ] {
            let option = encode(Duration::from_millis(millis));
            assert_eq!(option, UserTimeout { in_minutes, value }, "{millis}");
        }
        let decoded = |in_minutes, value| decode(UserTimeout { in_minutes, value });
        assert_eq!(decoded(false, 0), None);
        assert_eq!(decoded(true, 0), None);
        assert_eq!(decoded(false, 7), Some(Duration::from_secs(7).into()));
        assert_eq!(decoded(true, 7), Some(Duration::from_secs(420).into()));
        assert_eq!(
            decoded(true, MOST),
            Some(Duration::from_secs(32_767 * 60).into())
        );
    }

    #[test]
    fn rfc5482_3_1_the_timeout_that_applies() {
        let seconds = |seconds| Millis::from(Duration::from_secs(seconds));
        for (advertised, remote, least, most, retransmission, applies) in [
            (200, 300, 100, 3600, 1, 300),
            (300, 200, 100, 3600, 1, 300),
            (20, 30, 100, 3600, 1, 100),
            (20, 9999, 100, 3600, 1, 3600),
            (20, 30, 10, 3600, 60, 60),
            (20, 30, 10, 40, 60, 60),
        ] {
            let exchange = Exchange::new(&UserTimeoutOption {
                advertised: Duration::from_secs(advertised),
                least: Duration::from_secs(least),
                most: Duration::from_secs(most),
                changeable: true,
            });
            let adapted = exchange.adapted(seconds(remote), seconds(retransmission));
            assert_eq!(adapted, seconds(applies));
        }
    }
}
