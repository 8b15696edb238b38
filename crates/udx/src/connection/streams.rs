//! The streams of a connection by ID: which exist, which did, and whose turn it is (UDX 8).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use gapless_recovery::Instant;
use gapless_seq::{RangeSet, mark, sabotage};

use crate::config::ConnectionConfig;
use crate::limits::Limits;
use crate::peer::Rules;
use crate::stream::{Blocks, Discipline, RecvHalf, SendHalf, SendState, WindowConfig};

/// Names a stream within its connection: this side's ID of it on the wire.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamId(pub(crate) u32);

impl StreamId {
    /// This side's ID of the stream, as in packet headers.
    #[must_use]
    pub fn wire_id(self) -> u32 {
        self.0
    }
}

/// UDX 8.1: IDs that we choose have the top bit set, so that they never meet the small numbers
/// which others count up.
const CHOSEN: u32 = 1 << 31;

/// Tells the ID that we choose for the peer from the one that we choose for ourselves. Ours count up
/// one by one, so that the finished ones are one run in the peer's memory.
const FOR_PEER: u32 = 1 << 30;

/// Streams that the peer may hold open until it says otherwise (UDX 8.5).
const INITIAL_STREAM_LIMIT: u32 = 100;

/// Runs of finished peer stream IDs that are remembered (V4). Peers count their IDs up, ours too, so
/// a run covers all streams that were finished in order. 16 bytes each.
const TOMBSTONES: usize = 44;

/// Finished peer stream IDs that have no room there any more and are remembered one by one, the oldest of them forgotten first. Dart draws
/// its IDs at random (UDX 8.1), so that each is a run, and has at most 100 streams at a time: ten times as many came and went before
/// one is forgotten. 4 bytes each.
const SINGLE_TOMBSTONES: usize = 1024;

/// FINs of streams that do not exist yet which are kept (V12, D22).
const MAX_EARLY_FINS: usize = 64;

/// Streams that a peer may open before it has proved its address (UDX2 H19): more than the packets that anybody sends before the
/// first answer, with which the question for the proof comes.
const UNPROVEN_STREAMS: u32 = 16;

/// How long such a FIN is kept at least. A stream's opening is repeated every 2 s at the latest (UDX 5); what
/// has not come by then never will: Go ends streams that it never opened (UDX 7.2).
const EARLY_FIN_LIFETIME: Duration = Duration::from_secs(30);

/// A FIN that came before its stream.
#[derive(Debug)]
struct EarlyFin {
    /// The peer's ID of the stream.
    source: u32,
    size: u64,
    since: Instant,
}

/// The peer's IDs of streams that are over (V4).
#[derive(Debug, Default)]
struct Finished {
    runs: RangeSet<TOMBSTONES>,
    /// Those that had no room there, oldest first.
    singly: VecDeque<u32>,
}

impl Finished {
    fn contains(&self, id: u32) -> bool {
        self.runs.contains(id.into()) || self.singly.contains(&id)
    }

    fn insert(&mut self, range: Range<u64>) {
        let (_, evicted) = self.runs.insert_evicting_lowest(range);
        let single = evicted.filter(|run| run.end.saturating_sub(run.start) == 1);
        if let Some(id) = single.and_then(|run| u32::try_from(run.start).ok()) {
            if self.singly.len() >= SINGLE_TOMBSTONES {
                self.singly.pop_front();
            }
            self.singly.push_back(id);
        }
    }
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    /// The destination in the headers of our packets.
    pub(crate) remote: u32,
    pub(crate) opened_by_us: bool,
    /// The source ID that the peer uses, once seen. UDX 8.1: one that merely hits our ID by chance
    /// is another stream.
    pub(crate) peer_source: Option<u32>,
    pub(crate) send: SendHalf,
    pub(crate) recv: RecvHalf,
    /// It stands in the queue of streams that have something to send.
    pub(crate) queued: bool,
    /// It stands in the queue of streams that owe a control frame.
    pub(crate) control_queued: bool,
    pub(crate) read_waiting: bool,
    pub(crate) write_waiting: bool,
    /// The application is done with it.
    pub(crate) released: bool,
    /// What the peer still sends is dropped, and it was not told: with this code it will be.
    pub(crate) drops_rest: Option<u32>,
}

impl Stream {
    /// Nothing will happen on it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.send.is_finished() && self.recv.is_finished()
    }
}

/// Where a packet's stream IDs lead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// To this stream.
    Live(u32),
    /// To one that is over: its frames are absorbed (UDX 8.2).
    Finished,
    /// To one that does not exist yet.
    Unknown,
    /// To no stream: the source is 0 (UDX 8.1).
    None,
}

#[derive(Debug)]
pub(crate) struct Streams {
    table: BTreeMap<u32, Box<Stream>>,
    /// Streams that the peer opened, by its ID of them.
    by_peer: BTreeMap<u32, u32>,
    finished: Option<Box<Finished>>,
    early_fins: Vec<EarlyFin>,
    first_id: u32,
    next_id: u32,
    /// Streams with something to send, in turn.
    pub(crate) sending: VecDeque<u32>,
    /// Streams that owe a WINDOW_UPDATE or STREAM_DATA_BLOCKED.
    pub(crate) control: VecDeque<u32>,
    /// Streams the application has not accepted yet.
    pub(crate) incoming: VecDeque<u32>,
    /// The stream that the connection's first packet opens, until the application takes it.
    pub(crate) first: Option<u32>,
    open_by_us: u32,
    open_by_peer: u32,
    /// How many the peer lets us hold open.
    pub(crate) limit: u32,
    heard_limit: bool,
    pub(crate) open_waiting: bool,
    max_by_peer: u32,
    window: WindowConfig,
    discipline: Discipline,
    /// The peer cannot be asked for a lost limit (D14).
    tries_limits: bool,
    /// Windows are said again and again (UDX2 H14).
    insistent: bool,
    /// What windows may grow to towards this peer, in bytes.
    most_window: u32,
    growth_limit: u64,
    /// The position of every stream's first byte: 0 but in tests.
    start: u64,
    /// What windows may still grow by, in bytes.
    pub(crate) growth: u64,
    /// Bytes written and not acknowledged, over all streams.
    pub(crate) buffered: u64,
    /// Streams that have such bytes.
    pub(crate) writers: u32,
    /// Streams that may be over and forgotten now.
    pub(crate) ending: Vec<u32>,
    /// Datagrams that the stream whose turn it is has sent in this turn.
    pub(crate) turn: u32,
    /// Memory that readers have given back.
    pub(crate) blocks: Blocks,
    /// When to look for windows to say again and blocked streams to report; may be early.
    pub(crate) look_at: Option<Instant>,
}

impl Streams {
    pub(crate) fn new(
        limits: &Limits,
        config: &ConnectionConfig,
        rules: &Rules,
        seed: u64,
    ) -> Self {
        let first_id = own_id(u32::try_from(seed >> 32).unwrap_or(0));
        Streams {
            table: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            finished: None,
            early_fins: Vec::new(),
            first_id,
            next_id: first_id,
            sending: VecDeque::new(),
            control: VecDeque::new(),
            incoming: VecDeque::new(),
            first: None,
            open_by_us: 0,
            open_by_peer: 0,
            limit: INITIAL_STREAM_LIMIT,
            heard_limit: false,
            open_waiting: false,
            max_by_peer: 1 << limits.max_streams.clamp(1, 1 << 15).ilog2(),
            window: WindowConfig {
                initial: config.initial_stream_window,
                max: limits.max_stream_window,
            },
            discipline: rules.discipline,
            tries_limits: rules.tries_limits,
            insistent: rules.insistent_windows,
            most_window: rules.most_window,
            start: config.first_position,
            growth_limit: limits.receive_growth,
            growth: limits.receive_growth,
            buffered: 0,
            writers: 0,
            ending: Vec::new(),
            turn: 0,
            blocks: Blocks::default(),
            look_at: None,
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Stream> {
        self.table.get(&id).map(Box::as_ref)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Stream> {
        self.table.get_mut(&id).map(Box::as_mut)
    }

    /// The stream, which has memory for bytes up to `end` if readers gave any back.
    pub(crate) fn get_mut_with_block(&mut self, id: u32, end: u64) -> Option<&mut Stream> {
        let stream = self.table.get_mut(&id).map(Box::as_mut)?;
        if stream.recv.wants_block(end)
            && let Some(block) = self.blocks.take()
        {
            stream.recv.supply(block);
        }
        Some(stream)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Stream)> + '_ {
        self.table.iter().map(|(id, stream)| (*id, stream.as_ref()))
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// UDX 8.1: by destination among ours, else by source among the peer's.
    pub(crate) fn find(&self, destination: u32, source: u32) -> Found {
        if let Some(stream) = self.get(destination).filter(|_| destination != 0) {
            let fits = stream.peer_source.is_none_or(|known| known == source);
            if fits {
                return Found::Live(destination);
            }
            mark!(SourceDiffers);
        }
        if let Some(id) = self.by_peer.get(&source) {
            return Found::Live(*id);
        }
        let finished = |id: u32| {
            self.finished
                .as_ref()
                .is_some_and(|finished| finished.contains(id))
        };
        // A stream of ours that is gone: we count our IDs up, so all below the next were used.
        let place = |id: u32| own_id(id.wrapping_sub(self.first_id));
        let was_ours = destination == own_id(destination)
            && !self.table.contains_key(&destination)
            && place(destination) < place(self.next_id);
        if was_ours || finished(source) {
            mark!(LateFrameOfOurs, was_ours);
            mark!(LateFrameOfPeers, !was_ours);
            return Found::Finished;
        }
        if source == 0 {
            Found::None
        } else {
            Found::Unknown
        }
    }

    /// Opens a stream of ours. Both IDs are chosen here (UDX 8.1, third).
    pub(crate) fn open(&mut self) -> u32 {
        let id = self.draw_id();
        let stream = self.stream(id | FOR_PEER, true, None);
        self.table.insert(id, Box::new(stream));
        self.open_by_us = self.open_by_us.saturating_add(1);
        id
    }

    /// Whether the peer lets us open one more.
    pub(crate) fn may_open(&self) -> bool {
        self.open_by_us < self.limit
    }

    /// MAX_STREAMS: the largest value counts (D12), but for the 100 assumed before.
    pub(crate) fn on_limit(&mut self, count: u32) {
        let held = if self.heard_limit { self.limit } else { 0 };
        self.heard_limit = true;
        self.limit = held.max(count);
    }

    /// Bytes by which the windows of all streams exceed what the protocol gives every stream.
    pub(crate) fn granted(&self) -> u64 {
        self.growth_limit.saturating_sub(self.growth)
    }

    /// Whether the peer may open one more.
    pub(crate) fn admits(&self) -> bool {
        self.open_by_peer < self.max_by_peer
    }

    /// Whether the peer may take a stream of its own for over that is still held here: all of both directions is on the other side, or
    /// on its way there, and what is missing is an acknowledgement or a reader. It may then open the next one in good faith.
    pub(crate) fn may_be_over_there(&self) -> bool {
        let mut theirs = self.table.values().filter(|stream| !stream.opened_by_us);
        theirs.any(|stream| {
            let all_came = stream.recv.is_complete() || stream.recv.is_finished();
            all_came && !matches!(stream.send.state(), SendState::Ready | SendState::Sending)
        })
    }

    /// Creates a stream that the peer opened. If it named our ID, that is taken if it is free (D2).
    pub(crate) fn admit(&mut self, destination: u32, source: u32) -> u32 {
        // Those that we count through ourselves are not given away: once ours, a late frame of the peer's
        // stream would hit it.
        let free = destination != 0
            && destination != own_id(destination)
            && !self.table.contains_key(&destination);
        mark!(IdTakenFromPeer, free);
        let id = if free { destination } else { self.draw_id() };
        let stream = self.stream(source, false, Some(source));
        self.table.insert(id, Box::new(stream));
        self.by_peer.insert(source, id);
        self.open_by_peer = self.open_by_peer.saturating_add(1);
        self.incoming.push_back(id);
        id
    }

    fn stream(&self, remote: u32, opened_by_us: bool, peer_source: Option<u32>) -> Stream {
        let mut recv = RecvHalf::at(&self.window, self.start);
        recv.suit(self.insistent, self.max_window());
        let mut send = SendHalf::starting_at(self.start, opened_by_us, self.discipline);
        if self.tries_limits {
            send.try_limits(self.start);
        }
        Stream {
            remote,
            opened_by_us,
            peer_source,
            send,
            recv,
            queued: false,
            control_queued: false,
            read_waiting: false,
            write_waiting: false,
            released: false,
            drops_rest: None,
        }
    }

    fn draw_id(&mut self) -> u32 {
        loop {
            let id = self.next_id;
            self.next_id = own_id(id.wrapping_add(1));
            if !self.table.contains_key(&id) {
                return id;
            }
        }
    }

    /// V12: keeps the end of a stream that does not exist yet. False if there is no room, and the
    /// packet must not be acknowledged.
    pub(crate) fn keep_early_fin(&mut self, now: Instant, source: u32, size: u64) -> bool {
        if self.early_fins.iter().any(|fin| fin.source == source) {
            return true;
        }
        if self.early_fins.len() >= MAX_EARLY_FINS {
            let age = |fin: &EarlyFin| now.saturating_duration_since(fin.since);
            self.early_fins.retain(|fin| age(fin) < EARLY_FIN_LIFETIME);
        }
        let room = self.early_fins.len() < MAX_EARLY_FINS;
        mark!(EarlyFinKept, room);
        mark!(EarlyFinRefused, !room);
        if room {
            self.early_fins.push(EarlyFin {
                source,
                size,
                since: now,
            });
        }
        room
    }

    pub(crate) fn take_early_fin(&mut self, source: u32) -> Option<u64> {
        let at = self
            .early_fins
            .iter()
            .position(|fin| fin.source == source)?;
        Some(self.early_fins.swap_remove(at).size)
    }

    /// How data are sent and windows are said from now on, on all streams.
    pub(crate) fn obey(&mut self, rules: &Rules) {
        let held = (self.discipline, self.insistent, self.most_window);
        let now = (rules.discipline, rules.insistent_windows, rules.most_window);
        if held == now && self.tries_limits == rules.tries_limits {
            return;
        }
        self.discipline = rules.discipline;
        self.tries_limits = rules.tries_limits;
        self.insistent = rules.insistent_windows;
        self.most_window = rules.most_window;
        let max = self.max_window();
        for stream in self.table.values_mut() {
            stream.send.set_discipline(rules.discipline);
            if rules.tries_limits {
                stream.send.try_limits(self.start);
            }
            stream.recv.suit(rules.insistent_windows, max);
        }
        let ids: Vec<u32> = self.table.keys().copied().collect();
        ids.into_iter().for_each(|id| self.queue(id));
    }

    fn max_window(&self) -> u64 {
        self.window.max.min(self.most_window.into())
    }

    /// Something of the stream can be sent: it gets its turn.
    pub(crate) fn queue(&mut self, id: u32) {
        if let Some(stream) = self.table.get_mut(&id)
            && !stream.queued
            && stream.send.has_next()
        {
            stream.queued = true;
            self.sending.push_back(id);
        }
    }

    /// The stream owes a control frame.
    pub(crate) fn queue_control(&mut self, id: u32) {
        if let Some(stream) = self.table.get_mut(&id)
            && !stream.control_queued
        {
            stream.control_queued = true;
            self.control.push_back(id);
        }
    }

    /// The timers of this stream may have become earlier.
    pub(crate) fn note_deadline(&mut self, id: u32) {
        let Some(stream) = self.table.get(&id) else {
            return;
        };
        let deadlines = [stream.recv.next_deadline(), stream.send.next_deadline()];
        self.look_at = deadlines.into_iter().chain([self.look_at]).flatten().min();
    }

    /// V5, D13: queues control frames that a timer makes due.
    pub(crate) fn on_timeout(&mut self, now: Instant) {
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for (id, stream) in &mut self.table {
            if stream.recv.on_timeout(now) || stream.send.is_blocked_due(now) {
                due.push(*id);
            }
            let deadlines = [stream.recv.next_deadline(), stream.send.next_deadline()];
            let later = deadlines.into_iter().flatten().filter(|at| *at > now);
            next = later.chain(next).min();
        }
        self.look_at = next;
        for id in due {
            self.queue_control(id);
        }
    }

    /// Forgets the stream if it is over and the application is done with it. True if a place for
    /// another one became free.
    pub(crate) fn reap(&mut self, id: u32, ids_count_by_two: bool) -> bool {
        if self
            .get(id)
            .is_none_or(|stream| !(stream.released && stream.is_over()))
        {
            return false;
        }
        sabotage!(StreamKept, return false);
        let Some(stream) = self.table.remove(&id) else {
            return false;
        };
        if stream.queued {
            self.sending.retain(|queued| *queued != id);
        }
        if stream.control_queued {
            self.control.retain(|queued| *queued != id);
        }
        self.growth = self.growth.saturating_add(stream.recv.window().granted());
        if stream.opened_by_us {
            sabotage!(PlaceNeverFree, return false);
            self.open_by_us = self.open_by_us.saturating_sub(1);
            return true;
        }
        self.open_by_peer = self.open_by_peer.saturating_sub(1);
        self.by_peer.remove(&stream.remote);
        self.entomb(stream.remote, ids_count_by_two);
        false
    }

    /// V4: a stream that the peer opened is over for good.
    pub(crate) fn entomb(&mut self, source: u32, ids_count_by_two: bool) {
        // The ID between two of a peer that counts by two is never used: the run has no gaps. Such IDs are small; a large one is
        // of somebody who counts by one and was not recognised yet, and its neighbour is another stream.
        let step = if ids_count_by_two && source < CHOSEN {
            2
        } else {
            1
        };
        let source = u64::from(source);
        let finished = self.finished.get_or_insert_with(Box::default);
        finished.insert(source..source.saturating_add(step));
    }

    /// Counts anew what is buffered, after streams were given up.
    pub(crate) fn recount(&mut self) {
        let lens = self.table.values().map(|stream| stream.send.buffer().len());
        let (mut buffered, mut writers) = (0_u64, 0_u32);
        for len in lens.filter(|len| *len > 0) {
            buffered = buffered.saturating_add(len);
            writers = writers.saturating_add(1);
        }
        self.buffered = buffered;
        self.writers = writers;
    }

    /// The streams end with the connection: nothing is sent any more; what arrived can be read.
    pub(crate) fn shut(&mut self) {
        self.sending = VecDeque::new();
        self.control = VecDeque::new();
        self.early_fins = Vec::new();
        self.look_at = None;
    }

    /// Nothing is left of them, not even what arrived.
    pub(crate) fn clear(&mut self) {
        self.shut();
        self.table.clear();
        self.by_peer.clear();
        self.incoming.clear();
        self.blocks = Blocks::default();
    }

    /// Whether one more may come of a peer that has not proved its address.
    pub(crate) fn admits_unproven(&self) -> bool {
        self.open_by_peer < UNPROVEN_STREAMS
    }

    /// Bytes of memory held, but for the fixed part.
    pub(crate) fn memory(&self) -> usize {
        let streams = self.table.values().fold(0_usize, |sum, stream| {
            let buffers = stream.recv.buffer().memory();
            let buffers = buffers.saturating_add(stream.send.buffer().memory());
            sum.saturating_add(size_of::<Stream>())
                .saturating_add(buffers)
        });
        let finished = self.finished.as_ref();
        let books = finished.map_or(0, |_| size_of::<Finished>());
        // A node of a B-tree has room for eleven entries, and all but the root are half full.
        let nodes =
            [self.table.len(), self.by_peer.len()].map(|len| len.min(1).max(len.div_ceil(5)));
        let nodes = nodes.into_iter().fold(0, usize::saturating_add);
        let trees = nodes.saturating_mul(size_of::<(u32, usize)>().saturating_mul(12));
        let queues = [
            self.sending.capacity(),
            self.control.capacity(),
            self.incoming.capacity(),
            self.ending.capacity(),
            finished.map_or(0, |finished| finished.singly.capacity()),
            self.early_fins.capacity().saturating_mul(4),
        ];
        let queues = queues.into_iter().fold(0, usize::saturating_add);
        [
            streams,
            books,
            trees,
            queues.saturating_mul(size_of::<u32>()),
            self.blocks.memory(),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}

/// The ID of ours that has these low bits.
fn own_id(bits: u32) -> u32 {
    bits & !FOR_PEER | CHOSEN
}

#[cfg(test)]
mod tests {
    use super::*;

    // V4
    #[test]
    fn a_tombstone_covers_no_stream_of_a_peer_that_counts_by_one() {
        let rules = crate::peer::Peer::Unknown.rules();
        let config = ConnectionConfig::default();
        let mut streams = Streams::new(&Limits::default(), &config, rules, 0);
        let first = CHOSEN + 4;
        streams.entomb(first, true);
        assert_eq!(streams.find(first | FOR_PEER, first), Found::Finished);
        assert_eq!(
            streams.find((first + 1) | FOR_PEER, first + 1),
            Found::Unknown
        );
        for id in [1, 3, 5] {
            streams.entomb(id, true);
        }
        let runs = streams
            .finished
            .as_ref()
            .map(|finished| finished.runs.len());
        assert_eq!(runs, Some(2), "what Go and JS finish is one run");
    }

    // V4
    #[test]
    fn streams_with_random_ids_are_remembered_as_long_as_a_thousand_others_end() {
        let rules = crate::peer::Peer::Dart.rules();
        let config = ConnectionConfig::default();
        let mut streams = Streams::new(&Limits::default(), &config, rules, 0);
        let id = |n: u32| n.wrapping_mul(0x9E37_79B9) | 1;
        for n in 1..=3_000 {
            streams.entomb(id(n), false);
            for before in [0, 1, 43, 44, 45, 500, 1_000].map(|age| n.saturating_sub(age).max(1)) {
                assert_eq!(
                    streams.find(0, id(before)),
                    Found::Finished,
                    "{before} at {n}"
                );
            }
        }
        let singly = streams.finished.unwrap().singly;
        assert!(singly.len() <= SINGLE_TOMBSTONES && singly.capacity() <= 2 * SINGLE_TOMBSTONES);
    }
}
