//! What a run consists of, as plain data: two hosts, the path between them, what the applications do, how the engines are polled.

use crate::choices::Choices;
use crate::peers::Kind;
use gapless_link::Profile;
use gapless_udx::EndpointConfig;

/// Nanoseconds in a millisecond.
pub const MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000 * MS;

/// In the calm, nothing may happen for so many of the engines' probe timeouts: one until it asks, one more if the first question is lost in
/// a queue that is still full, and what the answers take.
pub const STALL_PTOS: u64 = 3;

/// Nanoseconds of virtual time since the run began.
pub type Time = u64;

/// One run. The same scenario gives the same run, to the last packet.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Start of all random numbers: engines, applications, manners. The links have seeds of their own.
    pub seed: u64,
    /// The path while it is bad, from the dialer (host 0) to the acceptor (host 1) and back.
    pub faults: [Profile; 2],
    /// Other routes that the packets take, in the order of time.
    pub routes: Vec<Route>,
    /// When the calm begins.
    pub calm_from: Time,
    /// The path from then on.
    pub calm: [Profile; 2],
    /// The dialer and the acceptor.
    pub hosts: [HostPlan; 2],
    /// What the applications exchange.
    pub streams: Vec<StreamPlan>,
    /// The dialer gets another address at these times, as behind a NAT that forgets.
    pub moves: Vec<Time>,
    /// How it ends.
    pub ending: Ending,
    /// In the calm, something has to happen at least this often until all is done.
    pub patience: Time,
    /// How long nothing may happen by intention: an application rests, or a moved host waits for its keep-alive. Beyond that, nothing
    /// may happen for [`STALL_PTOS`] of the engines' own probe timeouts, or round trips if these are longer.
    pub rests: Time,
    /// How long a round trip takes in the calm when the queues are full.
    pub round_trip: Time,
    /// All streams have to be over this long after the calm began.
    pub finish_within: Time,
    /// The run is repeated with the engines polled in this way, and has to deliver the same bytes.
    pub other_manners: Option<[Manners; 2]>,
    /// Somebody on the path acknowledges what was never sent, with every packet that acknowledges something.
    pub optimist: bool,
    /// Somebody beside the path sends copies of all packets from an address of his own: to whom they were for, and back to whom they came
    /// from. What he is told that is no packet he passes on to both sides.
    pub copyist: bool,
    /// At the end, both sides close the connection at once.
    pub closes_both: bool,
    /// One side loses its state before the end.
    pub restart: Option<Restart>,
    /// The engines check themselves after every so many steps (1: after each), because that takes time.
    pub check_every: u32,
    /// The run is cut off after so many steps, and what it came to by then is its report: for who has no time.
    pub steps_at_most: Option<u64>,
    /// What it was drawn from.
    pub(crate) choices: Choices,
}

/// From some time on, packets take another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// When.
    pub at: Time,
    /// The path from then on, from the dialer and to it.
    pub paths: [Profile; 2],
}

/// A side is started anew: its connections are gone; its settings, its address and its reset secret are as they were. The other side has to
/// learn of it, as far as it has something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Who.
    pub host: usize,
    /// When.
    pub at: Time,
}

/// One end.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// The engine's settings.
    pub config: EndpointConfig,
    /// How it is polled.
    pub manners: Manners,
    /// Bytes that the engine may hold at most.
    pub memory_bound: usize,
    /// A model of another implementation in the place of our engine: then only delivery is asked of it.
    pub model: Option<Kind>,
}

/// How a caller treats an engine. None of this may change what is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Timers are served up to this much late.
    pub late: Time,
    /// The timeout handler is also called when nothing is due: at every wake, and in between after up to this long.
    pub early: Option<Time>,
    /// Every call that should have nothing left to do is made again.
    pub twice: bool,
    /// Datagrams that arrived wait up to this long and are then handed over together.
    pub receive_wait: Time,
    /// Equal datagrams are handed over as one receive with a segment size, as GRO does.
    pub coalesce: bool,
    /// All packets are sent after each datagram received, instead of after all.
    pub send_after_each: bool,
    /// Bytes of the buffer given to `poll_transmit`.
    pub buffer: usize,
    /// Datagram batches fetched at one wake; the rest waits up to `transmit_wait`.
    pub batches: usize,
    /// See `batches`.
    pub transmit_wait: Time,
    /// The application acts before the datagrams are handed over instead of after.
    pub application_first: bool,
    /// The application tries reads and writes without having been told that they would work.
    pub impatient: bool,
    /// The clock goes on in steps of this length, and stands still between them: many calls are made at one instant. 0: it goes evenly.
    pub tick: Time,
    /// The caller stands still for a while, as on a machine that sleeps, and everything waits for it: then time has leapt.
    pub freeze: Option<Freeze>,
}

/// A time in which a caller does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// When it begins.
    pub from: Time,
    /// How long it lasts.
    pub length: Time,
}

impl Manners {
    /// The caller that the documentation asks for.
    pub const GOOD: Self = Self {
        late: 0,
        early: None,
        twice: false,
        receive_wait: 0,
        coalesce: true,
        send_after_each: false,
        buffer: 64 * 1024,
        batches: usize::MAX,
        transmit_wait: 0,
        application_first: false,
        impatient: false,
        tick: 0,
        freeze: None,
    };
}

impl Freeze {
    /// When the caller goes on that would have acted at `at`.
    pub(crate) fn thaws(self, at: Time) -> Time {
        let end = self.from.saturating_add(self.length);
        if (self.from..end).contains(&at) {
            end
        } else {
            at
        }
    }
}

/// One stream: who opens it, when, and what both directions carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPlan {
    /// 0 or 1.
    pub opener: usize,
    /// When it is opened.
    pub start: Start,
    /// From the opener to the other side.
    pub there: DirectionPlan,
    /// The other way.
    pub back: DirectionPlan,
}

/// When a stream is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At this time, or when the connection allows.
    At(Time),
    /// When the stream of this place in the list is over for both applications.
    After(usize),
}

/// What one direction of a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectionPlan {
    /// The sending application.
    pub write: WritePlan,
    /// The receiving application.
    pub read: ReadPlan,
}

/// How an application writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WritePlan {
    /// Bytes written in all. Of the opening direction the first four name the plan.
    pub bytes: u64,
    /// Smallest and largest piece.
    pub piece: (usize, usize),
    /// Rests of the writer.
    pub pause: Option<Pause>,
    /// Written are at most this many bytes more than were read from the other direction: 0 echoes, a message's size takes turns.
    pub lead: Option<u64>,
    /// Nothing is written before the other direction ended.
    pub after_end: bool,
    /// Time between the last byte and the end of the stream.
    pub finish_delay: Time,
    /// How the writer ends.
    pub end: WriteEnd,
}

/// How a writer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteEnd {
    /// It finishes the stream after the last byte.
    Finish,
    /// It resets the stream after the last byte, with this code. In UDX that ends both directions.
    Reset(u32),
}

/// How an application reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    /// Bytes asked for at once.
    pub size: usize,
    /// Rests of the reader.
    pub pause: Option<Pause>,
    /// The first read comes this long after the stream.
    pub delay: Time,
    /// After this many bytes the reader wants no more and stops the stream, with this code.
    pub stop: Option<(u64, u32)>,
}

/// A rest of `time` after every `every` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Bytes.
    pub every: u64,
    /// How long.
    pub time: Time,
}

/// How the run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// When all streams are over for both applications, one side closes the connection, and the other has to learn of it.
    Close {
        /// Who.
        host: usize,
    },
    /// One side closes the connection at this time, whatever is underway.
    Abort {
        /// Who.
        host: usize,
        /// When.
        at: Time,
    },
    /// One side vanishes at this time without a word. The other has to find out.
    Vanish {
        /// Who.
        host: usize,
        /// When.
        at: Time,
    },
}

impl WritePlan {
    /// Writes so many bytes as fast as it goes, then finishes.
    pub const fn bulk(bytes: u64) -> Self {
        Self {
            bytes,
            piece: (16 * 1024, 16 * 1024),
            pause: None,
            lead: None,
            after_end: false,
            finish_delay: 0,
            end: WriteEnd::Finish,
        }
    }
}

impl ReadPlan {
    /// Reads whatever comes as it comes.
    pub const FAST: Self = Self {
        size: 64 * 1024,
        pause: None,
        delay: 0,
        stop: None,
    };
}

impl DirectionPlan {
    /// So many bytes as fast as it goes.
    pub const fn bulk(bytes: u64) -> Self {
        Self {
            write: WritePlan::bulk(bytes),
            read: ReadPlan::FAST,
        }
    }
}

impl StreamPlan {
    /// Opened by the dialer at the beginning, bulk both ways.
    pub const fn bulk(there: u64, back: u64) -> Self {
        Self {
            opener: 0,
            start: Start::At(0),
            there: DirectionPlan::bulk(there),
            back: DirectionPlan::bulk(back),
        }
    }

    /// What the given side of the stream writes and what it reads.
    pub fn of(&self, opener: bool) -> (WritePlan, ReadPlan) {
        if opener {
            (self.there.write, self.back.read)
        } else {
            (self.back.write, self.there.read)
        }
    }

    /// Whether an application may end it before its bytes are through.
    pub fn is_aborted(&self) -> bool {
        [self.there, self.back].iter().any(|direction| {
            direction.read.stop.is_some() || matches!(direction.write.end, WriteEnd::Reset(_))
        })
    }
}

impl Scenario {
    /// Whether the links deliver damaged datagrams. Then nothing is promised about bytes or about ending well.
    pub fn is_poisoned(&self) -> bool {
        self.faults.iter().any(|profile| !profile.checksum)
    }

    /// Whether all streams have to come through.
    pub fn ends_well(&self) -> bool {
        matches!(self.ending, Ending::Close { .. }) && !self.is_poisoned()
    }
}
