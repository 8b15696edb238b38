//! The states of RFC 9293 3.3.2. LISTEN is no state of a connection here but an object of its own, and CLOSED is the end.

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// A SYN left; nothing came back.
    SynSent,
    /// Both SYNs were seen, ours is not acknowledged.
    SynReceived,
    /// Data flow both ways.
    Established,
    /// We sent or are about to send our FIN; it is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged; the peer may still send.
    FinWait2,
    /// The peer's FIN came; we may still send.
    CloseWait,
    /// Both FINs crossed; ours is not acknowledged.
    Closing,
    /// The peer's FIN came, then we sent or are about to send ours; it is not acknowledged.
    LastAck,
    /// Both FINs are acknowledged; late segments may be on the way.
    TimeWait,
    /// Over.
    Closed,
}

impl State {
    /// RFC 9293 3.3.2: both sides agree on the first numbers.
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Self::SynSent | Self::SynReceived | Self::Closed)
    }

    /// Whether octets of the peer are taken (RFC 9293 3.10.7.4, "seventh").
    #[must_use]
    pub const fn takes_data(self) -> bool {
        matches!(self, Self::Established | Self::FinWait1 | Self::FinWait2)
    }

    /// Whether the application may still write (RFC 9293 3.10.2).
    #[must_use]
    pub const fn may_write(self) -> bool {
        matches!(
            self,
            Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait
        )
    }

    /// Whether data and FIN may be put on the wire.
    #[must_use]
    pub(crate) const fn may_transmit(self) -> bool {
        matches!(
            self,
            Self::Established | Self::CloseWait | Self::FinWait1 | Self::Closing | Self::LastAck
        )
    }

    /// Where the application's wish to send no more leads (RFC 9293 3.10.4).
    pub(crate) const fn after_shutdown(self) -> Self {
        match self {
            Self::Established | Self::SynReceived => Self::FinWait1,
            Self::CloseWait => Self::LastAck,
            other => other,
        }
    }

    /// Where the peer's FIN leads, everything before it being here (RFC 9293 3.10.7.4, "eighth").
    pub(crate) const fn after_fin(self) -> Self {
        match self {
            Self::SynReceived | Self::Established => Self::CloseWait,
            // Ours is not acknowledged: had it been by the same segment, the state would be FIN-WAIT-2 by now.
            Self::FinWait1 => Self::Closing,
            Self::FinWait2 => Self::TimeWait,
            other => other,
        }
    }

    /// Where the acknowledgment of our FIN leads (RFC 9293 3.10.7.4, "fifth").
    pub(crate) const fn after_fin_acknowledged(self) -> Self {
        match self {
            Self::FinWait1 => Self::FinWait2,
            Self::Closing => Self::TimeWait,
            Self::LastAck => Self::Closed,
            other => other,
        }
    }
}
